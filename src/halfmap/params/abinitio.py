"""Settings of `halfmap abinitio`."""

from __future__ import annotations

from typing import Literal

from halfmap.params.common import NUMBER, ParticleOutput, setting


class Growing(ParticleOutput):
    """How maps grow from particles alone."""

    settled_at_start = ParticleOutput.settled_at_start | {"symmetry", "num_particles"}

    num_particles: int | None = setting(
        None, help="Particles to use, a random choice; none = all. The others are listed in particles_unused.star.",
        unit="images", known_as="cryoSPARC: Num particles to use", ge=100,
    )  # fmt: skip
    symmetry: str = setting(
        "C1", help="Point group. Maps grow without it; its axes are then found in them, and they obey it at the end.",
        known_as="cryoSPARC: Symmetry; RELION --sym",
    )  # fmt: skip
    particle_diameter_A: float | None = setting(
        None, help="Diameter of the circle that masks the images and of the sphere that holds the maps; none = 95 % of "
        "the box. The tighter, the faster and the surer.", unit="A", known_as="RELION --particle_diameter", gt=0,
    )  # fmt: skip
    initial_resolution: float | None = setting(
        None, help="Resolution of the first steps; none = 1/5.7 of the diameter, 20 to 80.", unit="A",
        known_as="cryoSPARC: Initial resolution", gt=0,
    )  # fmt: skip
    max_resolution: float | None = setting(
        None, help="Resolution of the last steps, from which the final passes go on; none = a tenth of the diameter, "
        "10 to 40.", unit="A", known_as="cryoSPARC: Maximum resolution", gt=0,
    )  # fmt: skip
    num_initial_iterations: int = setting(
        30, help="Steps at the initial resolution.", known_as="cryoSPARC: Number of initial iterations", ge=1, le=10_000
    )
    num_final_iterations: int = setting(
        60, help="Steps at the maximum resolution, at most: they end where nothing more is gained.",
        known_as="cryoSPARC: Number of final iterations", ge=0, le=10_000,
    )  # fmt: skip
    fourier_radius_step: float = setting(
        0.08, help="By how much each step between them raises the Fourier radius.", unit="shells",
        known_as="cryoSPARC: Fourier radius step", gt=0, le=2,
    )  # fmt: skip
    initial_minibatch_size: int | None = setting(
        None, help="Images of each step at the initial resolution; none = 200 for every map that grows, or by the "
        "minibatch epsilon.", unit="images", known_as="cryoSPARC: Initial minibatch size", ge=10,
    )  # fmt: skip
    minibatch_size: int | None = setting(
        None, help="Images of each step after that; none = 250 for every map that grows, or by the minibatch epsilon.",
        unit="images", known_as="cryoSPARC: Final minibatch size", ge=10,
    )  # fmt: skip
    minibatch_epsilon: float | None = setting(
        None, help="Steps take so many images, 80 to 500 for every map that grows, that the noise of a map is this "
        "part of it; the smaller, the more, 0.05 is usual. None = sizes as above.",
        known_as="cryoSPARC: Minibatch autotune epsilon", gt=0, le=1,
    )  # fmt: skip
    minibatch_min_probability: float = setting(
        0.01, help="Maps that a smaller part of the particles show are not waited for with larger batches.",
        known_as="cryoSPARC: Minibatch autotune min class probability", ge=0, le=1,
        needs={"minibatch_epsilon": NUMBER},
    )  # fmt: skip
    initial_learning_rate: float = setting(
        0.6, help="Learning rate of the first step: which part of the map the images of a step replace.",
        known_as="cryoSPARC: Initial learning rate", gt=0, le=1,
    )  # fmt: skip
    final_learning_rate: float = setting(
        0.3, help="Learning rate once the maximum resolution is reached; until then it falls evenly on a logarithmic "
        "scale.", gt=0, le=1,
    )  # fmt: skip
    noise_anneal_scale: float | None = setting(
        None, help="How many times as large as it is the noise is taken to be at the first step, standard deviation; "
        "it falls to 1 with the initial iterations. None = as the target fraction of poses wants it.",
        known_as="cryoSPARC: Noise initial sigma-scale", ge=1, le=64,
    )  # fmt: skip
    target_ess_fraction: float = setting(
        0.011, help="Fraction of all poses that carry weight at the first step, at least: the noise is taken larger "
        "until they do; 0 = noise as it is.", known_as="cryoSPARC: Target 3D ESS fraction", ge=0, lt=1,
        needs={"noise_anneal_scale": None},
    )  # fmt: skip
    starts: int = setting(
        2, help="Random starts that are tried up to the maximum resolution; the one that tells most of particles held "
        "back goes on.", ge=1, le=100,
    )  # fmt: skip
    initial_structure_lowpass: float = setting(
        7.0, help="Fourier radius of the random blobs it starts from.", unit="shells",
        known_as="cryoSPARC: Initial structure lowpass", gt=0,
    )  # fmt: skip
    offset_range_A: float | None = setting(
        None, help="Search radius for shifts; none = a sixth of the diameter, at least 15. Steps look near where a "
        "particle was last seen, what follows everywhere; without a range given, half as far again for particles that "
        "lie low on its first maps.", unit="A",
        known_as="RELION --offset_range (there in pixels)", gt=0,
    )  # fmt: skip
    min_align_resolution: float | None = setting(
        None, help="Leave out data coarser than this (high-pass); none = use all.", unit="A",
        known_as="cryoSPARC: Minimum align resolution", gt=0,
    )  # fmt: skip
    window_structure: bool = setting(
        True, help="Keep the maps inside a sphere of the particle's diameter.",
        known_as="cryoSPARC: Window structures in real space",
    )  # fmt: skip
    center_structure: bool = setting(
        True, help="Move the centre of mass of each map to the middle of the box after every step.",
        known_as="cryoSPARC: Center structures in real space",
    )  # fmt: skip
    non_negative: bool = setting(
        True, help="Set negative density of the maps to 0 after every step.",
        known_as="cryoSPARC: Enforce non-negativity",
    )
    intermediate_plots: bool = setting(
        True, help="Draw the plots of every tenth step while the job runs, as far as a little spare time allows.",
        known_as="cryoSPARC: Make intermediate plots",
    )  # fmt: skip


# What a map that has begun to grow goes on with; the rest changes no result
SETTLED = frozenset(Growing.model_fields) - {
    "write_cs", "intermediate_plots", "out", "overwrite", "resume", "dry_run", "threads", "device",
}  # fmt: skip


class Abinitio(Growing):
    """One map or several from particles alone: no starting map, no poses."""

    settled_at_start = SETTLED | {"classes", "class_start", "class_similarity", "class_anneal_start",
                                  "class_anneal_end"}  # fmt: skip

    classes: int = setting(
        1, help="Number of maps; particles are sorted between them.",
        known_as="cryoSPARC: Number of Ab-Initio classes; RELION --K", ge=1, le=20,
    )  # fmt: skip
    class_start: Literal["consensus", "independent"] = setting(
        "consensus", help="Where classes come from: a map of all particles that is split, which tells states of one "
        "particle apart; or maps of their own from the first step on, for particles with little in common.",
    )  # fmt: skip
    class_resolution: float = setting(
        20.0, help="Finest data by which the particles of a consensus are split into classes.", unit="A", gt=0,
        needs={"class_start": "consensus"},
    )  # fmt: skip
    class_similarity: float = setting(
        0.1, help="How alike classes are at first: 0 = independent, 1 = every image counts equally in all.",
        known_as="cryoSPARC: Class similarity", ge=0, le=1, needs={"class_start": "independent"},
    )  # fmt: skip
    class_anneal_start: int = setting(
        30, help="Step at which the similarity of the classes begins to fall.",
        known_as="cryoSPARC: Class similarity anneal start iteration", ge=0,
        needs={"class_start": "independent"},
    )  # fmt: skip
    class_anneal_end: int = setting(
        60, help="Step at which it is 0.", known_as="cryoSPARC: Class similarity anneal end iteration", ge=0,
        needs={"class_start": "independent"},
    )  # fmt: skip
    final_passes: int = setting(
        4, help="Refinement passes over the particles of a class at the end, the last one over all of them; they give "
        "every particle its pose. The first looks no farther from the middle than three times the spread of the "
        "particles that the steps found.", ge=1, le=20,
    )  # fmt: skip
    final_resolution: float = setting(
        12.0, help="Finest data the final passes align with.", unit="A", gt=0
    )
