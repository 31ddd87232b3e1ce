"""Settings of `halfmap refine auto`."""

from __future__ import annotations

from typing import Literal

from halfmap.params.common import setting
from halfmap.params.refinement import ALIGN_SYMMETRY, MARGINALIZATION, RELION_FILES, MapRefinement


class Auto(MapRefinement):
    """Gold-standard refinement in the manner of RELION's 3D auto-refine: sampling, accuracies and the end are told."""

    settled_at_start = MapRefinement.settled_at_start | {
        "align_symmetry", "initial_sampling", "offset_range", "offset_step", "ctf_correction",
        "ignore_ctf_until_first_peak", "zero_mask",
    }  # fmt: skip

    initial_lowpass: float = setting(
        60.0,
        help="Resolution the starting map is low-pass filtered to: nothing finer of it is believed.",
        unit="A",
        known_as="RELION --ini_high",
        gt=0,
    )
    gsfsc_split_resolution: float = setting(
        40.0,
        help="The half-sets are independent beyond this resolution; below it they share data.",
        unit="A",
        known_as="RELION --low_resol_join_halves",
        gt=0,
    )
    marginalization: bool = setting(True, **MARGINALIZATION)
    align_symmetry: bool = setting(True, **ALIGN_SYMMETRY)
    zero_mask: bool = setting(
        True,
        help="Images are 0 outside the circle of the particle's diameter; off = noise of their own spectrum.",
        known_as="RELION --zero_mask",
    )
    ctf_correction: bool = setting(
        True,
        help="Correct for the CTF; off = images are taken for plain projections.",
        known_as="RELION --ctf",
        needs={"ewald_sphere": "off"},
    )
    ignore_ctf_until_first_peak: bool = setting(
        False,
        help="Take the CTF for constant before its first peak: for strong contrast at low resolution, negative stain.",
        known_as="RELION --ctf_intact_first_peak",
        needs={"ctf_correction": True, "ewald_sphere": "off"},
    )
    initial_sampling: float = setting(
        7.5,
        help="Step between the directions of the first search: 15, 7.5, 3.7, 1.8 ...; the nearest of these is used. It "
        "gets finer by itself; poses do not stay on the grid, each is taken to the top of its peak.",
        unit="deg",
        known_as="RELION Initial angular sampling: --healpix_order with --oversampling",
        gt=0.1,
        le=30,
    )
    local_searches_from: float = setting(
        1.8,
        help="From this step on particles in doubt are searched near their pose only, before that in all directions.",
        unit="deg",
        known_as="RELION Local searches from auto-sampling: --auto_local_healpix_order",
        gt=0.1,
        le=30,
    )
    finer_sampling_faster: bool = setting(
        False,
        help="Make the sampling as fine as the resolution needs at once, and do not wait for poses to come to rest.",
        known_as="RELION Use finer angular sampling faster: --auto_ignore_angles --auto_resol_angles",
    )
    offset_range: float | None = setting(
        None,
        help="Search radius for shifts of the first search; none = a sixth of the diameter, at least 15 A, and half as "
        "far again for particles that do not lie along their projection.",
        unit="px",
        known_as="RELION --offset_range (there 5)",
        gt=0,
    )
    offset_step: float | None = setting(
        None,
        help="Step between these shifts; none, or more than that = half the resolution of the search.",
        unit="px",
        known_as="RELION --offset_step (there 1)",
        gt=0,
    )
    solvent_flattened_fsc: bool = setting(
        True,
        help="Measure the resolution inside the mask, freed of what the mask adds; off = without any mask.",
        known_as="RELION --solvent_correct_fsc (there off)",
    )
    relion_files: Literal["off", "result", "iterations"] = setting("iterations", **RELION_FILES)
    weight_particles: bool = setting(
        True,
        help="Let each particle count in the map by its probability to be one; off = all alike, junk included.",
    )
    keep_checkpoints: Literal["last", "all"] = setting(
        "all",
        help="Checkpoints that stay: all = that of every iteration, to go on from any of them; last = the two newest "
        "and the best.",
        known_as="RELION keeps all",
    )
    max_iterations: int = setting(
        50,
        help="Iterations after which the last one follows, which reconstructs all particles to Nyquist, even if not "
        "converged.",
        known_as="RELION --iter",
        ge=1,
        le=200,
    )
    force_convergence: bool = setting(
        False,
        help="Make the next iteration the last one, which takes both halves together to Nyquist.",
        known_as="RELION --force_converge",
    )
