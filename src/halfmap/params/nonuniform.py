"""Settings of `halfmap refine nonuniform`."""

from __future__ import annotations

from halfmap.params.common import setting
from halfmap.params.homogeneous import Homogeneous
from halfmap.params.refinement import MARGINALIZATION, LocalFilterSettings


class Nonuniform(Homogeneous, LocalFilterSettings):
    """Gold-standard refinement of one structure with parts that are less ordered than others."""

    marginalization: bool = setting(True, **MARGINALIZATION)
