"""Settings of `halfmap refine homogeneous`."""

from __future__ import annotations

from typing import Literal

from halfmap.params.common import setting
from halfmap.params.needs import FILE
from halfmap.params.refinement import ALIGN_SYMMETRY, MapRefinement


class Homogeneous(MapRefinement):
    """Gold-standard refinement of one structure from particles and a starting map."""

    settled_at_start = MapRefinement.settled_at_start | {"align_symmetry", "relax_symmetry"}

    align_symmetry: bool = setting(True, **ALIGN_SYMMETRY)
    relax_symmetry: Literal["none", "maximization", "marginalization"] = setting(
        "none",
        help="Search with the symmetry, but make the map without it: none = the map obeys it, maximization = each "
        "particle goes to the best of its symmetry mates, marginalization = to all, by their probability. Poses then "
        "cover all directions. At most 24 mates.",
        known_as="cryoSPARC: Symmetry relaxation method; RELION --relax_sym",
    )
    early_subsets: bool = setting(
        True,
        help="Large sets: early iterations use a part of the particles, the last ones all.",
        known_as="cryoSPARC: off = Disable auto batchsize",
    )
    subset_size: int | None = setting(
        None,
        help="Particles of the first iteration; none = 10000.",
        unit="images",
        known_as="cryoSPARC: Initial batchsize",
        ge=100,
        needs={"early_subsets": True},
    )
    subset_growth: float = setting(
        3.0,
        help="Each early iteration takes so many times the particles of the one before.",
        known_as="cryoSPARC: Batchsize epsilon and snrfactor",
        gt=1,
        le=100,
        needs={"early_subsets": True},
    )
    mask_start_resolution: float | None = setting(
        None,
        help="A mask given as a file is used once the map has this resolution; before that a soft sphere; none = from "
        "the start.",
        unit="A",
        gt=0,
        needs={"mask": FILE},
    )
    refine_defocus: bool = setting(
        False,
        help="Refine the defocus of every particle once the map has converged; helps where it is better than 4 to 5 A.",
        known_as="cryoSPARC: Optimize per-particle defocus; relion_ctf_refine --fit_defocus",
    )
    defocus_range: float = setting(
        2000.0,
        help="With --refine-defocus: how far defocus may change in one iteration, either way.",
        unit="A",
        known_as="cryoSPARC: Defocus search range",
        gt=0,
        le=20000,
        needs={"refine_defocus": True},
    )
    defocus_prior: float | None = setting(
        None,
        help="With --refine-defocus: expected error of the defocus, standard deviation; none = nothing is expected.",
        unit="A",
        gt=0,
        needs={"refine_defocus": True},
    )
    defocus_min_fit_resolution: float = setting(
        20.0,
        help="With --refine-defocus: data coarser than this do not take part; the finest is what the FSC allows.",
        unit="A",
        known_as="cryoSPARC: Minimum Fit Res (local CTF refinement); relion_ctf_refine --kmin_defocus",
        gt=0,
        needs={"refine_defocus": True},
    )
    refine_group_ctf: bool = setting(
        False,
        help="Refine the aberrations of every optics group once the map has converged: those of the --fit settings.",
        known_as="cryoSPARC: Optimize per-group CTF params; relion_ctf_refine --fit_beamtilt, --fit_aberr",
    )
    ctf_min_fit_resolution: float = setting(
        10.0,
        help="With --refine-group-ctf: data coarser than this do not take part; the finest is what the FSC allows.",
        unit="A",
        known_as="cryoSPARC: Minimum Fit Res (global CTF refinement); relion_ctf_refine --kmin_tilt",
        gt=0,
        needs={"refine_group_ctf": True},
    )
    fit_tilt: bool = setting(
        True,
        help="With --refine-group-ctf: fit beam tilt (axial coma).",
        known_as="cryoSPARC: Fit Tilt; relion_ctf_refine --fit_beamtilt",
        needs={"refine_group_ctf": True},
    )
    fit_trefoil: bool = setting(
        True,
        help="With --refine-group-ctf: fit trefoil.",
        known_as="cryoSPARC: Fit Trefoil; relion_ctf_refine --odd_aberr_max_n 3",
        needs={"refine_group_ctf": True},
    )
    fit_spherical: bool = setting(
        False,
        help="With --refine-group-ctf: fit the spherical aberration Cs.",
        known_as="cryoSPARC: Fit Spherical Aberration; relion_ctf_refine --fit_aberr",
        needs={"refine_group_ctf": True},
    )
    fit_tetrafoil: bool = setting(
        False,
        help="With --refine-group-ctf: fit tetrafoil and the two-fold term of the same order.",
        known_as="cryoSPARC: Fit Tetrafoil; relion_ctf_refine --fit_aberr",
        needs={"refine_group_ctf": True},
    )
    fit_anisotropic_magnification: bool = setting(
        False,
        help="With --refine-group-ctf: fit anisotropic magnification.",
        known_as="cryoSPARC: Fit Anisotropic Magnification; relion_ctf_refine --fit_aniso",
        needs={"refine_group_ctf": True},
    )
    offset_range_A: float | None = setting(
        None,
        help="Search radius for shifts; none = a sixth of the diameter, at least 15, and half as far again for "
        "particles that lie low on the first maps.",
        unit="A",
        known_as="RELION --offset_range (there in pixels)",
        gt=0,
    )
