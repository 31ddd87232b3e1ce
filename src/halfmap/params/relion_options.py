"""What the options of relion_refine mean to `halfmap refine auto`: one table.

Origin: ``relion_refine --help`` of RELION 3.1.3, and the options that version 5 adds. How a command line is read with
it: `cli.relion_line`. What comes nearest to each, for people: `elsewhere`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import PurePosixPath

FIRST_STEP_DEG = 60.0  # angle between neighbours at HEALPix order 0; every order halves it
OVERSAMPLING = 1  # RELION's default: the second pass of a search has half the step of the first


@dataclass(frozen=True)
class Option:
    """One option of relion_refine.

    ``values``: how many words follow it; "maybe" for one that may be left out. ``told``: what the user hears where the
    option has no effect here; "" where it is what the job does anyway, or has a setting. ``refused``: why a line with
    it cannot be run, which is because the result would be another one.
    """

    name: str
    meaning: str
    values: int | str = 0
    setting: str | None = None
    taken: Callable[[str, int], str | None] | None = None  # (value, oversampling) -> value of the setting
    told: str = ""
    refused: str = ""


def as_it_is(value: str, oversampling: int) -> str | None:
    """The same number or file."""
    return value


def positive(value: str, oversampling: int) -> str | None:
    """None for 0, -1 or "None", RELION's ways to say that there is none."""
    return None if value in ("None", "none", "") or (_is_number(value) and float(value) <= 0) else value


def folder_of(value: str, oversampling: int) -> str | None:
    """RELION's "output rootname", Refine3D/job019/run -> Refine3D/job019."""
    path = PurePosixPath(value)
    return str(path) if value.endswith("/") else str(path.parent)


def step_deg(value: str, oversampling: int) -> str | None:
    """A HEALPix order as the angle that RELION's window shows: that of the second pass."""
    return f"{FIRST_STEP_DEG / 2 ** (int(value) + oversampling):g}"


def step_px(value: str, oversampling: int) -> str | None:
    """A step of offsets as RELION's window shows it: that of the second pass."""
    return f"{float(value) / 2**oversampling:g}"


def upper(value: str, oversampling: int) -> str | None:
    """c1 -> C1."""
    return value.upper()


def on(value: str, oversampling: int) -> str | None:
    """A flag that is there."""
    return ""


def _is_number(value: str) -> bool:
    return value.lstrip("-").replace(".", "", 1).isdigit()


ONE_PROCESS = "one process does it all, on as many cores as --threads says"
STREAM = "images stream from where they are, read ahead; copy them to a fast disk and name it with --images-root"
CPU = "this version has the CPU only"
NO_GRID = "poses do not stay on a grid"
HELIX = "point groups only, no helices"

OPTIONS = (
    Option("i", "input images", 1, "particles", as_it_is),
    Option("ref", "reference map", 1, "volume", as_it_is),
    Option("o", "output", 1, "out", folder_of),
    Option("continue", "go on from an optimiser.star", 1),  # see cli.relion_line
    Option("auto_refine", "3D auto-refine"),
    Option("split_random_halves", "independent halves"),
    Option("iter", "number of iterations", 1, "max_iterations", positive),
    Option("auto_iter_max", "most iterations", 1, "max_iterations", positive),
    Option("force_converge", "force convergence", 0, "force_convergence", on),
    Option("firstiter_cc", "reference not on absolute greyscale", 0, "reestimate_greyscale", on),
    Option("always_cc", "correlation in all iterations", refused="alignment is by likelihood"),
    Option("ini_high", "initial low-pass filter", 1, "initial_lowpass", positive),
    Option("ref_angpix", "pixel size of the reference", 1, told="the header of the map says it"),
    Option("trust_ref_size", "other size of the reference", told="any size will do"),
    Option("angpix", "pixel size", 1, told="the particle table says it"),
    Option("sym", "symmetry", 1, "symmetry", upper),
    Option("relax_sym", "relax symmetry", 1, refused="see halfmap refine homogeneous --relax-symmetry"),
    Option("ctf", "CTF correction", 0, "ctf_correction", on),
    Option("ctf_corrected_ref", "reference is CTF-corrected"),
    Option("ctf_intact_first_peak", "ignore CTFs until first peak", 0, "ignore_ctf_until_first_peak", on),
    Option("ctf_phase_flipped", "images with flipped phases", refused="not offered"),
    Option("only_flip_phases", "no amplitude correction", refused="not offered"),
    Option("pad_ctf", "padded CTFs", told="a larger box does the same"),
    Option("particle_diameter", "mask diameter", 1, "particle_diameter_A", positive),
    Option("zero_mask", "mask particles with zeros", 0, "zero_mask", on),
    Option("maskedge", "width of the edge of that mask", 1, told="always 5 px"),
    Option("flatten_solvent", "mask the reference"),
    Option("solvent_mask", "reference mask", 1, "mask", positive),
    Option("solvent_mask2", "second mask", 1, refused="not offered"),
    Option("lowpass_mask", "low-pass inside a mask", 1, refused="not offered"),
    Option("lowpass", "its resolution", 1, refused="not offered"),
    Option("solvent_correct_fsc", "solvent-flattened FSCs", 0, "solvent_flattened_fsc", on),
    Option("low_resol_join_halves", "halves joined below this", 1, "gsfsc_split_resolution", positive),
    Option("strict_highres_exp", "finest resolution of the alignment", 1, "max_align_resolution", positive),
    Option("strict_lowres_exp", "coarsest resolution of the alignment", 1, "min_align_resolution", positive),
    Option("norm", "correct norms", told="noise and grey scale are fitted for every optics group"),
    Option("scale", "correct grey scales", told="fitted for every optics group; --per-particle-scale for particles"),
    Option("no_norm", "do not correct norms"),
    Option("no_scale", "do not correct grey scales"),
    Option("healpix_order", "initial angular sampling", 1, "initial_sampling", step_deg),
    Option("auto_local_healpix_order", "local searches from", 1, "local_searches_from", step_deg),
    Option("oversampling", "adaptive oversampling", 1),  # enters into the three around it
    Option("offset_range", "range of offsets", 1, "offset_range", positive),
    Option("offset_step", "step of offsets", 1, "offset_step", step_px),
    Option("auto_ignore_angles", "finer sampling faster", 0, "finer_sampling_faster", on),
    Option("auto_resol_angles", "finer sampling faster", 0, "finer_sampling_faster", on),
    Option("psi_step", "in-plane step", 1, told=NO_GRID),
    Option("perturb", "perturbed sampling", 1, told=NO_GRID),
    Option("offset", "expected offsets", 1, told=NO_GRID),
    Option("adaptive_fraction", "weights that count", 1, told="all that the likelihood allows count"),
    Option("maxsig", "most poses that count", 1, told="all that the likelihood allows count"),
    Option("coarse_size", "image size of the first pass", 1, told="follows from the resolution"),
    Option("incr_size", "shells beyond the resolution", 1, told="follows from the resolution"),
    Option("limit_tilt", "limited tilt", 1, refused="not offered"),
    Option("sigma_ang", "local searches from the start", 1, refused="see halfmap refine local"),
    Option("sigma_rot", "local searches from the start", 1, refused="see halfmap refine local"),
    Option("sigma_tilt", "local searches from the start", 1, refused="see halfmap refine local"),
    Option("sigma_psi", "local searches from the start", 1, refused="see halfmap refine local"),
    Option("skip_align", "no alignment", refused="see halfmap reconstruct"),
    Option("skip_rotate", "offsets only", refused="not offered"),
    Option("bimodal_psi", "two psi angles", refused=HELIX),
    Option("helix", "helices", refused=HELIX),
    Option("local_symmetry", "local symmetry", 1, refused="not offered"),
    Option("fourier_mask", "mask in Fourier space", 1, refused="not offered"),
    Option("tau2_fudge", "regularisation", 1, told="the FSC of the halves sets the filter"),
    Option("tau", "signal spectrum", 1, refused="the FSC of the halves sets the filter"),
    Option("blush", "Blush regularisation", refused="not offered; see halfmap refine nonuniform"),
    Option("external_reconstruct", "another program reconstructs", refused="not offered"),
    Option("denovo_3dref", "no reference", refused="a starting map is needed"),
    Option("grad", "gradient descent", refused="not offered"),
    Option("sgd", "gradient descent", refused="not offered"),
    Option("K", "number of classes", 1, refused="one structure"),
    Option("fast_subsets", "subsets", told="see --early-subsets of halfmap refine homogeneous"),
    Option("pad", "padding factor", 1, told="always 2"),
    Option("NN", "nearest neighbours", told="interpolation is linear"),
    Option("r_min_nn", "from this shell on", 1, told="interpolation is linear"),
    Option("skip_gridding", "skip gridding"),
    Option("dont_skip_gridding", "gridding", told="division by the weights is exact enough"),
    Option("fix_sigma_noise", "keep noise spectra", told="they follow the residuals"),
    Option("fix_sigma_offset", "keep expected offsets", told=NO_GRID),
    Option("dont_check_norm", "skip a check", told="the check is a warning"),
    Option("random_seed", "random seed", 1, "seed", lambda value, _: None if value.startswith("-") else value),
    Option("pool", "pooled particles", 1, told="--minibatch-size is chosen from the box"),
    Option("j", "threads", 1, "threads", positive),
    Option("gpu", "GPUs", "maybe", told=CPU),
    Option("cpu", "CPU"),
    Option("sycl", "GPUs", "maybe", told=CPU),
    Option("free_gpu_memory", "memory of the GPU", 1, told=CPU),
    Option("failsafe_threshold", "fail-safe mode", 1, told="a hopeless particle is named and left out"),
    Option("preread_images", "images in memory", told=STREAM),
    Option("scratch_dir", "scratch disk", 1, told=STREAM),
    Option("keep_scratch", "scratch disk", told=STREAM),
    Option("reuse_scratch", "scratch disk", told=STREAM),
    Option("keep_free_scratch", "scratch disk", 1, told=STREAM),
    Option("dont_combine_weights_via_disc", "how MPI processes exchange sums", told=ONE_PROCESS),
    Option("no_parallel_disc_io", "MPI processes read in turn", told=ONE_PROCESS),
    Option("onthefly_shifts", "shifts are not stored", told="chosen by itself"),
    Option("memory_per_thread", "memory of a thread", 1, told="--dry-run tells the memory"),
    Option("verb", "verbosity", 1, told="see log.txt"),
    Option("pipeline_control", "folder of exit codes", 1),
)  # fmt: skip

# What a whole line of relion_refine, one with --auto_refine, says by leaving an option out: our words, what is told
LEFT_OUT = {
    "zero_mask": (("--no-zero-mask",), "images are masked with noise"),
    "ctf": (("--no-ctf-correction",), "images are taken for plain projections"),
    "flatten_solvent": (("--mask", "none"), "the reference is not masked"),
    "solvent_correct_fsc": ((), "used all the same; --no-solvent-flattened-fsc leaves them out"),
}

BY_NAME = {option.name: option for option in OPTIONS}
