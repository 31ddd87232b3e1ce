"""What was made from what."""

import pytest

from halfmap.jobs.project import index, lineage
from tests.jobs import projects

#      J1 -> J2 -> J4 -> J5,  J1 -> J3 -> J5,  J6 alone
LINKS = {"J1": [], "J2": ["J1/particles.star"], "J3": ["J1/map.mrc", "J1/mask.mrc"], "J4": ["J2"],
         "J5": ["J3/map.mrc", "J4/particles.star"], "J6": []}  # fmt: skip


@pytest.fixture
def rows(tmp_path):
    return index.jobs(projects.made(tmp_path, **LINKS)).rows


def test_lineage_goes_up_and_down(rows):
    up, down = lineage.up(rows), lineage.down(rows)
    assert up == {1: [], 2: [1], 3: [1], 4: [2], 5: [3, 4], 6: []}
    assert down == {1: [2, 3], 2: [4], 3: [5], 4: [5], 5: [], 6: []}
    assert lineage.reached(5, up) == [3, 4, 1, 2] and lineage.reached(2, down) == [4, 5]


def test_a_chain_has_every_job_after_those_it_was_made_from(rows):
    assert lineage.chain(1, rows) == [1, 2, 3, 4, 5]
    assert lineage.chain(2, rows) == [2, 4, 5] and lineage.chain(6, rows) == [6]


def test_a_tree_has_every_job_once_below_the_newest_it_was_made_from(rows):
    assert list(lineage.tree(rows)) == [(0, 1), (1, 2), (2, 4), (3, 5), (1, 3), (0, 6)]


def test_jobs_in_a_circle_and_jobs_whose_parent_is_gone_are_listed_too(tmp_path):
    rows = index.jobs(projects.made(tmp_path, J1=["J2/map.mrc"], J2=["J1/map.mrc"], J3=["J99/map.mrc"])).rows
    assert sorted(number for _, number in lineage.tree(rows)) == [1, 2, 3]
    assert lineage.up(rows)[3] == [99] and lineage.chain(1, rows) == [1, 2]
    assert lineage.reached(1, lineage.up(rows)) == [2]


def test_a_long_chain_does_not_exhaust_the_stack(tmp_path):
    row = index.Row(0, 0, "", "", None, "", None, None, None, [], [], 0, 0)
    rows = {n: row._replace(number=n, parents=[n - 1]) for n in range(1, 5001)}
    assert list(lineage.tree(rows))[-1] == (4999, 5000)
