"""Tags and notes: kept in the job folder, whatever they say and whoever writes at the same time."""

import json
from concurrent.futures import ThreadPoolExecutor

import pytest

from halfmap.errors import UsageError
from halfmap.jobs.project import remarks

HOSTILE = ["; rm -rf /", "a\nb", "\x1b[2J", "[red]x[/red]", "'\"`$(x)", "日本", "x" * 500, "-remove", "\udcff"]


def test_tags_come_and_go_and_each_is_there_once(tmp_path):
    remarks.tag(tmp_path, ["good", "best"])
    assert remarks.tag(tmp_path, ["good", "for paper"]).tags == ("good", "best", "for paper")
    assert remarks.tag(tmp_path, ["best"], remove=True).tags == remarks.read(tmp_path).tags == ("good", "for paper")
    with pytest.raises(UsageError, match="no tag 'best'"):
        remarks.tag(tmp_path, ["best"], remove=True)


def test_notes_are_added_in_their_order_and_leave_the_tags_alone(tmp_path):
    remarks.tag(tmp_path, ["good"])
    remarks.note(tmp_path, "first")
    said = remarks.note(tmp_path, "second")
    assert [note["text"] for note in said.notes] == ["first", "second"] and said.tags == ("good",)


@pytest.mark.parametrize("text", HOSTILE)
def test_any_text_comes_back_as_it_was_written(tmp_path, text):
    remarks.tag(tmp_path, [text])
    remarks.note(tmp_path, text)
    said = remarks.read(tmp_path)
    expected = text.encode("utf-8", "replace").decode()  # bytes that are no letters cannot be kept
    assert said.tags == (expected,) and said.notes[0]["text"] == expected


@pytest.mark.parametrize("text", ["", " \n ", "x" * (remarks.MOST + 1)])
def test_nothing_and_a_whole_book_are_refused(tmp_path, text):
    with pytest.raises(UsageError):
        remarks.tag(tmp_path, [text])
    with pytest.raises(UsageError):
        remarks.note(tmp_path, text)
    assert list(tmp_path.iterdir()) == []


def test_those_who_write_at_once_lose_nothing(tmp_path):
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda n: remarks.tag(tmp_path, [f"t{n}"]), range(30)))
    assert len(remarks.read(tmp_path).tags) == 30


@pytest.mark.parametrize("text", ["", "{", "[]", '{"tags": 3, "notes": {"a": 1}}', '{"tags": [1, null], "notes": [2]}'])
def test_a_damaged_file_says_nothing_and_can_be_written_again(tmp_path, text):
    (tmp_path / remarks.FILE).write_text(text)
    assert remarks.read(tmp_path) == remarks.Remarks()
    damaged = text in ("", "{")
    remarks.tag(tmp_path, ["good"])
    assert json.loads((tmp_path / remarks.FILE).read_text())["tags"] == ["good"]
    assert (tmp_path / remarks.DAMAGED).exists() == damaged and (not damaged or text == (
        tmp_path / remarks.DAMAGED).read_text())  # fmt: skip


def test_of_a_file_that_was_cut_the_whole_lines_are_kept_and_the_rest_put_aside(tmp_path):
    remarks.tag(tmp_path, ["good", "best"])
    remarks.note(tmp_path, "first")
    path = tmp_path / remarks.FILE
    cut = path.read_text()[:-20]
    path.write_text(cut)
    assert remarks.tag(tmp_path, ["new"]).tags == ("good", "best", "new")
    assert (tmp_path / remarks.DAMAGED).read_text() == cut
