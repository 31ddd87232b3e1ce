"""What tests of several jobs share."""

import pytest

from halfmap.jobs.pictures import painter


class NoPlots:
    """Stands in for the drawing process: starting it takes longer than any job here."""

    def __init__(self, folder):
        pass

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass

    def draw(self):
        return ""


@pytest.fixture(scope="module")
def no_plots():
    """For ``pytestmark = pytest.mark.usefixtures("no_plots")``: the jobs of a module draw nothing."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(painter, "Painter", NoPlots)
        yield
