"""docs/FAULTS.md names tests that exist, and every test of this folder that makes a fault."""

import ast
import re
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[1]
PAGE = (TESTS.parent / "docs" / "FAULTS.md").read_text()
NAMED = sorted(set(re.findall(r"`([\w/]+::test_\w+)`", PAGE)))
LINES = {1, 2, *range(4, 16), 17, *range(19, 25), *range(29, 35)}  # that need no server, no node


def functions(path):
    return {node.name: ast.get_docstring(node) for node in ast.parse(path.read_text()).body
            if isinstance(node, ast.FunctionDef)}  # fmt: skip


@pytest.mark.parametrize("name", NAMED)
def test_a_test_that_the_page_names_exists(name):
    path, function = name.split("::")
    assert function in functions(TESTS / f"{path}.py")


def test_every_line_of_the_table_that_needs_no_server_is_on_the_page():
    cells = re.findall(r"^\| ([\d, ]+) \|", PAGE, re.MULTILINE)
    on_page = {int(number) for cell in cells for number in cell.split(",")}
    assert LINES <= on_page
