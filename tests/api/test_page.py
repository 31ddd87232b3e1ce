"""docs/api.md: every block of Python in it runs, one after the other, in an empty folder."""

import re
from pathlib import Path

PAGE = Path(__file__).parents[2] / "docs" / "api.md"


def test_the_examples_of_the_page_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    known = {}
    for block in re.finditer(r"^```python\n(.*?)^```", PAGE.read_text(), re.MULTILINE | re.DOTALL):
        line = PAGE.read_text()[: block.start()].count("\n") + 1
        exec(compile("\n" * line + block[1], str(PAGE), "exec"), known)
    assert {"refined", "sharp", "mask", "fsc", "deposition", "for_relion"} <= {path.name for path in tmp_path.iterdir()}
    assert not (tmp_path / "next").exists()
