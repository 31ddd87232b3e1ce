"""The house rules: floors, fast start, foreign names in one room, nothing of one machine."""

import ast
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.jobs import projects

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "src" / "halfmap"
SLOW = ("numba", "scipy", "matplotlib", "torch", "numpy", "rich.progress")
UNUSED = (*SLOW, "pydantic", "rich", "yaml", "halfmap.params.common")


def modules():
    return sorted(path for path in SOURCE.rglob("*.py"))


def strings_but_not_docstrings(path):
    tree = ast.parse(path.read_text())
    docstrings = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            docstrings.add(id(node.value))
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docstrings:
            yield node.value


def test_imports_go_downwards_only():
    command = shutil.which("lint-imports", path=str(Path(sys.executable).parent)) or shutil.which("lint-imports")
    if command is None:
        pytest.skip("import-linter is not installed")
    done = subprocess.run([command, "--no-cache"], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_no_module_comes_back_to_itself_through_what_it_imports():
    import grimp  # comes with import-linter

    graph = grimp.build_graph("halfmap", exclude_type_checking_imports=True, cache_dir=None)
    left = {module: graph.find_modules_directly_imported_by(module) for module in graph.modules}
    while free := {module for module, imported in left.items() if not imported & left.keys()}:
        left = {module: imported for module, imported in left.items() if module not in free}
    assert not left, f"these import each other in a circle, or something that does: {sorted(left)}"


def test_the_command_line_starts_without_the_numerics():
    code = f"import sys, halfmap.cli.main as m; m.build(); print([n for n in {SLOW!r} if n in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("arguments", [["init"], ["status"], ["status", "--tree"]])
def test_a_list_of_jobs_needs_neither_numerics_nor_settings(arguments, tmp_path):
    projects.made(tmp_path / "project", J1=[], J2=["J1/map.mrc"])
    loaded = f"[n for n in {UNUSED!r} if n in sys.modules]"
    code = f"import sys, halfmap.cli.start as s; s.main({arguments!r}); print({loaded})"
    folder = tmp_path / "project" if arguments[0] == "status" else tmp_path
    done = subprocess.run([sys.executable, "-c", code], cwd=folder, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


def test_the_package_itself_imports_nothing_and_its_functions_no_numerics():
    code = (
        "import sys, halfmap; print([n for n in sys.modules if n.startswith('halfmap.')]); halfmap.refine_homogeneous; "
        f"print([n for n in {SLOW!r} if n in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == ["[]", "[]"]


def test_the_bare_list_of_jobs_does_not_wait_for_the_reader_of_flags(tmp_path):
    one = projects.made(tmp_path / "project", J1=[])
    code = "import sys, halfmap.cli.start as s; s.main(['status']); print('cyclopts' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], cwd=one.root, capture_output=True, text=True, check=True)
    assert "J1" in done.stdout and done.stdout.splitlines()[-1] == "False"


@pytest.mark.parametrize("arguments", [["--help"], ["refine", "homogeneous", "--help"], ["show", "--help"]])
def test_help_leaves_the_numerics_alone(arguments):
    code = (
        f"import sys, halfmap.cli.start as m; m.main({arguments!r}); "
        f"print('LOADED', [n for n in {SLOW[:5]!r} if n in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "LOADED []"


COMPILED = "import numba; numba.njit(lambda x: x + 1)(1); "
LEVEL = (
    "\nfrom halfmap.kernels.window import cpu; import numba; codegen = numba.core.registry.cpu_target.target_context"
    ".codegen(); print(codegen._loopvect, next(v for v in vars(cpu).values() if hasattr(v, 'stats')).stats.cache_path)"
)


@pytest.mark.parametrize("code, level, warned, loops", [
    ("import numba; import halfmap, halfmap.types", None, False, True), ("import halfmap", None, False, True),
    (f"{COMPILED}import halfmap, halfmap.types", None, True, False), (f"{COMPILED}import halfmap", "max", False, True),
    ("import numba; import halfmap", "1", False, False),
], ids=["numba first", "halfmap first", "compiled first", "told", "told otherwise"])  # fmt: skip
def test_numba_compiles_kernels_at_their_level_or_says_that_it_cannot(code, level, warned, loops, tmp_path):
    """Kernels of another level that numba would keep among the fast ones would be slow for ever."""
    environment = {name: value for name, value in os.environ.items() if name != "NUMBA_OPT"}
    environment |= {"XDG_CACHE_HOME": str(tmp_path)} | ({} if level is None else {"NUMBA_OPT": level})
    done = subprocess.run([sys.executable, "-c", code + LEVEL], env=environment, capture_output=True, text=True,
                          check=True)  # fmt: skip
    assert done.stderr.count("Import halfmap first, or set NUMBA_OPT=max") == warned
    looped, folder = done.stdout.split(maxsplit=1)
    assert (looped == "True") == loops and folder.startswith(str(tmp_path)) == warned


def test_names_of_relion_columns_stand_in_the_files_of_that_name():
    holders = [
        str(path.relative_to(SOURCE)) for path in modules() if any("rln" in t for t in strings_but_not_docstrings(path))
    ]
    assert holders == ["data/relion_columns.py", "data/relion_project.py", "data/relion_run.py"]


def caught(handler: ast.ExceptHandler) -> list[str]:
    """Names of the exceptions a handler takes; a bare ``except`` takes every one."""
    if handler.type is None:
        return ["Exception"]
    kinds = handler.type.elts if isinstance(handler.type, ast.Tuple) else [handler.type]
    return [getattr(kind, "id", getattr(kind, "attr", "")) for kind in kinds]


def test_nothing_catches_every_exception_but_the_job_runner():
    catchers = []
    for path in modules():
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ExceptHandler) and "Exception" in caught(node):
                catchers.append(str(path.relative_to(SOURCE)))
    assert set(catchers) <= {"jobs/running/run.py"}


def texts():
    suffixes = {".py", ".md", ".toml", ".txt", ".j2", ".cfg", ".yml", ""}
    hidden = {".git", ".venv", ".pytest_cache", ".ruff_cache", ".import_linter_cache", "__pycache__", "halfmap-demo",
              "halfmap-case-study"}
    for path in sorted(ROOT.rglob("*")):
        if path.is_file() and path.suffix in suffixes and not hidden & set(path.relative_to(ROOT).parts):
            yield path


def test_no_file_names_a_place_on_one_machine():
    # spelled in pieces so that this file does not find itself
    places = ["/" + "work/", "/" + "home/", "/" + "tmp/env", "/" + "root/", "/" + "opt/", "files.python" + "hosted"]
    found = [
        f"{path.relative_to(ROOT)}: {place}"
        for path in texts()
        for place in places
        if place in path.read_text(errors="ignore")
    ]
    assert found == []
