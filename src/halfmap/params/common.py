"""Settings many jobs share, and `setting`, which declares one.

Owns the wording of help texts. Does not know files: whether a path exists is found out by the job that reads it.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

from halfmap.errors import UsageError

FILE = "FILE"  # among the values that a setting needs of another: any but none
RANGE_SIGNS = {"gt": ">", "ge": ">=", "lt": "<", "le": "<=", "multiple_of": "a multiple of"}


def setting(default: Any = ..., *, help: str, unit: str | None = None, known_as: str | None = None,
            needs: dict[str, Any] | None = None, **limits: Any):  # fmt: skip
    """A pydantic field whose description carries help, unit, range and the names other programs use for it.

    ``needs``: values of other settings without which this one does nothing (see needs.py): one each, or a list of
    which any will do. ``unit``, ``known_as`` and ``needs`` are also kept apart in the JSON schema, for forms and
    documentation.
    """
    ranges = ", ".join(f"{RANGE_SIGNS[key]} {value:g}" for key, value in limits.items())
    parts = [help, f"[{unit}]" if unit else "", f"({ranges})" if ranges else ""]
    parts.append(f"Known as: {known_as}." if known_as else "")
    extra = {"unit": unit, "known_as": known_as, "needs": needs}
    return Field(default, description=" ".join(part for part in parts if part), json_schema_extra=extra, **limits)


class Job(BaseModel):
    """What every job has."""

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True)
    settled_at_start: ClassVar[frozenset[str]] = frozenset({"seed"})  # what an interrupted job cannot change any more
    takes_folders: ClassVar[frozenset[str]] = frozenset()  # inputs that may be a job folder as a whole

    out: Path | None = setting(
        None,
        help="Job folder to write; must be new or empty; none = inside a project the next J<n>.",
        known_as="RELION --o",
    )
    overwrite: bool = setting(False, help="Replace the files of an earlier halfmap job in the same folder.")
    resume: bool = setting(
        False,
        help="Go on with the interrupted job in the same folder from its newest checkpoint; a new folder begins anew.",
        known_as="RELION --continue",
    )
    dry_run: bool = setting(
        False,
        help="Check settings and input files, tell what the job would need of time, memory and disk; write nothing.",
    )
    seed: int | None = setting(
        None, help="Seed of all random numbers; none = drawn once and recorded.", known_as="RELION --random_seed", ge=0
    )
    threads: int | None = setting(
        None, help="Processor cores to use; none = all this process may use.", known_as="RELION --j", ge=1
    )
    device: Literal["auto", "cpu", "cuda"] = setting("auto", help="Where to compute; this version has the CPU only.")

    @field_validator("device")
    @classmethod
    def device_exists(cls, value: str) -> str:
        if value == "cuda":
            raise UsageError("--device cuda: this version of halfmap has no GPU code yet; use --device auto or cpu")
        return value


class ParticleInput(Job):
    """A job that reads particles."""

    settled_at_start = Job.settled_at_start | {"particles", "passthrough", "images_root"}

    particles: Path = setting(
        help="Particle table: RELION STAR file, version 3.0 or 3.1 to 5, or cryoSPARC .cs file.",
        known_as="RELION --i; cryoSPARC: Particles",
    )
    passthrough: Path | None = setting(
        None,
        help="The .cs file with the inherited fields of the particles; none = those beside the table, by their name.",
        known_as="cryoSPARC: J<n>_passthrough_particles.cs",
    )
    images_root: Path | None = setting(
        None,
        help="Folder the image names of the table start from; none = the working folder, the table's, or one above.",
        known_as="a RELION or cryoSPARC project folder",
    )
    cache_dir: Path | None = setting(
        None,
        help="Folder on a fast local disk: image stacks are copied there once and read from there, by this job and "
        "those to come; what was not used for longest gives way. None = they are read where they are.",
        known_as="Cache particle images on SSD; --scratch_dir",
    )
    cache_quota_GB: float | None = setting(
        None,
        help="Most that the cache may hold; none = what the disk has. What finds no room is read where it is.",
        unit="GB",
        gt=0,
        needs={"cache_dir": FILE},
    )
    cache_reserve_GB: float = setting(
        10.0,
        help="Free space that the cache leaves on its disk.",
        unit="GB",
        known_as="--keep_free_scratch",
        ge=0,
        needs={"cache_dir": FILE},
    )


class ParticleOutput(ParticleInput):
    """A job that reads particles and writes particles."""

    write_cs: bool = setting(False, help="Write particles.cs for cryoSPARC beside particles.star.")


class ParticleJob(ParticleOutput):
    """A job that reads particles and makes half-maps of them."""

    settled_at_start = ParticleOutput.settled_at_start | {
        "box_size", "symmetry", "force_resplit",
        "ignore_tilt", "ignore_trefoil", "ignore_tetrafoil", "ignore_anisotropic_magnification",
    }  # fmt: skip

    box_size: int | None = setting(
        None,
        help="Box of the maps; larger images are Fourier-cropped to it; none, or a larger one = the images' own box.",
        unit="voxels",
        known_as="cryoSPARC: Refinement box size",
        ge=16,
        multiple_of=2,
    )
    symmetry: str = setting(
        "C1", help="Point group: Cn, Dn, T, O, I, I1 to I4.", known_as="RELION --sym; cryoSPARC: Symmetry"
    )
    particle_diameter_A: float | None = setting(
        None,
        help="Diameter of the circle that masks the images; none = from the starting map, without one 95 % of the box.",
        unit="A",
        known_as="RELION --particle_diameter",
        gt=0,
    )
    force_resplit: bool = setting(
        False,
        help="Draw new random half-sets even where the input has them.",
        known_as="cryoSPARC: Force re-do GS split",
    )
    ignore_tilt: bool = setting(
        False,
        help="Treat the beam tilt of the table, and axial coma (odd Zernike terms of m = 1), as zero.",
        known_as="cryoSPARC: Ignore tilt",
    )
    ignore_trefoil: bool = setting(
        False,
        help="Treat trefoil (odd Zernike terms of m = 3) as zero.",
        known_as="cryoSPARC: Ignore trefoil",
    )
    ignore_tetrafoil: bool = setting(
        False,
        help="Treat tetrafoil (all even Zernike terms but the round ones) as zero.",
        known_as="cryoSPARC: Ignore tetra",
    )
    ignore_anisotropic_magnification: bool = setting(
        False,
        help="Treat the magnification matrix as the identity.",
        known_as="cryoSPARC: Ignore anisomag",
    )
    ewald_sphere: Literal["off", "positive", "negative"] = setting(
        "off",
        help="Correct the maps for the curvature of the Ewald sphere. Positive: atoms further along the beam (q_z of "
        "the pose) have less defocus; negative: more. Which it is depends on how the images were recorded and read, "
        "and on the hand of the map: a mirrored map wants the other sign. Poses are found without it.",
        known_as="RELION --ewald: positive, with --reverse_curvature: negative; cryoSPARC: Do EWS correction, EWS "
        "curvature sign",
    )
    bfactor: float | None = setting(
        None,
        help="B-factor of map_sharp.mrc: negative sharpens, positive blurs; none = from the Guinier fit.",
        unit="A^2",
        known_as="cryoSPARC: B-Factor for plotting; relion_postprocess --adhoc_bfac",
        ge=-2000,
        le=2000,
    )
    minibatch_size: int | None = setting(
        None,
        help="Images held in memory at a time; changes memory, not the result; none = chosen from the box.",
        unit="images",
        known_as="cryoSPARC: Computational minibatch size; RELION --pool",
        ge=1,
    )


class Refinement(ParticleJob):
    """A job that iterates."""

    continue_from: Path | None = setting(
        None,
        help="Go on, in a new folder, from a checkpoint of another refinement of the same particles: its folder "
        "(checkpoints/it_003), or that of the job. Settings that are not given are those of that job; what it settled "
        "at its start stays.",
        known_as="RELION --continue run_it003_optimiser.star",
    )
    continue_iteration: int | None = setting(
        None,
        help="With --continue-from and the folder of a job: the iteration to go on from; none = the newest checkpoint.",
        ge=1,
        needs={"continue_from": FILE},
    )
    keep_checkpoints: Literal["last", "all"] = setting(
        "last",
        help="Checkpoints that stay: last = the two newest and the best, all = that of every iteration.",
        known_as="RELION keeps all",
    )

    write_candidates: bool = setting(
        False,
        help="Write candidates.npz: all poses of each particle that its image allows, with their probabilities, and "
        "the covariance of the best one.",
    )

    intermediate_plots: bool = setting(
        True,
        help="Draw the plots of every iteration while the job runs, as far as a little spare time allows; the numbers "
        "are always kept.",
        known_as="cryoSPARC: Make intermediate plots",
    )


def mask_text(value: str) -> str:
    """Refuse the word that cryoSPARC uses where halfmap wants the file."""
    if value == "static":
        raise ValueError("a static mask is given as its file: --mask FILE.mrc")
    return value
