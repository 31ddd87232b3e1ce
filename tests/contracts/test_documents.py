"""README and docs: every command, flag and path they name exists."""

import re
import shlex
from dataclasses import replace
from pathlib import Path

import pytest

from halfmap.cli import project, queue, reference, relion_line
from halfmap.cli.flags import flag
from halfmap.cli.tools import Tool
from halfmap.jobs import catalog

ROOT = Path(__file__).parents[2]
DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")), *sorted((ROOT / "benchmarks").glob("*.md"))]
FENCED = re.compile(r"^```\w*\n(.*?)^```", re.MULTILINE | re.DOTALL)
INLINE = re.compile(r"`(?:\.venv/bin/)?halfmap ([^`]+)`")
LINE = re.compile(r"^halfmap (.+)$", re.MULTILINE)
LINK = re.compile(r"\]\((?!https?:)([^)#]+)\)")
TOP = "src|tests|docs|benchmarks|examples|\\.ci"
PATH = re.compile(rf"`((?:{TOP})/[\w./-]+)`")
MODULE = re.compile(r"python -m (halfmap[\w.]*)")
TARGET = re.compile(r"(?:^|`)make ([a-z-]+)", re.MULTILINE)


def found(pattern):
    return sorted(
        {
            (document.name, next(group for group in match.groups() if group))
            for document in DOCUMENTS
            for match in pattern.finditer(document.read_text())
        }
    )


def commands():
    inside = {
        (document.name, command)
        for document in DOCUMENTS
        for block in FENCED.findall(document.read_text())
        for command in LINE.findall(block)
    }
    return sorted(inside | set(found(INLINE)))


TOOLS = (*project.TOOLS, *(replace(tool, name=f"{queue.NAME} {tool.name}") for tool in queue.TOOLS))


def entry_of(words):
    for entry in (*catalog.JOBS, *catalog.TOOLS, catalog.RESUME, *TOOLS):
        name = entry.name.split()
        if words[: len(name)] == name:
            return entry
    return None


def flags_of(entry):
    if isinstance(entry, Tool):
        return {argument.written for argument in entry.arguments() if argument.is_flag}
    return {flag(name) for name in (entry.params.model_fields if isinstance(entry, catalog.Entry) else ())}


@pytest.mark.parametrize("document, command", commands())
def test_a_command_and_its_flags_exist(document, command):
    for part in re.split(r" -- (?!\.\.\.)", command):  # halfmap queue add -- the words of a job
        words = shlex.split(part.replace("--continue ", "--continue-from "), comments=True)
        words = relion_line.read(words).words
        entry = entry_of(words)
        assert entry is not None, f"{document} names `halfmap {command}`"
        flags = flags_of(entry) | {"--json", "--config", "--help"}
        assert {word for word in words if re.match(r"--?[a-z]", word)} <= flags


@pytest.mark.parametrize("document, path", found(LINK))
def test_a_link_leads_somewhere(document, path):
    folder = next(found.parent for found in DOCUMENTS if found.name == document and (found.parent / path).exists())
    assert (folder / path).exists()


@pytest.mark.parametrize("document, path", found(PATH))
def test_a_path_exists(document, path):
    assert (ROOT / path).exists(), f"{document} names {path}"


@pytest.mark.parametrize("document, module", found(MODULE))
def test_a_module_exists(document, module):
    assert (ROOT / "src" / Path(*module.split("."))).with_suffix(".py").is_file(), f"{document} names {module}"


@pytest.mark.parametrize("document, target", found(TARGET))
def test_a_make_target_exists(document, target):
    assert re.search(rf"^{target}:", (ROOT / "Makefile").read_text(), re.MULTILINE), f"{document} names make {target}"


def test_the_page_of_commands_is_what_the_settings_say():
    assert (ROOT / "docs" / "COMMANDS.md").read_text() == reference.markdown(), (
        "make it again: python -m halfmap.cli.reference > docs/COMMANDS.md"
    )
