"""What a job did, in the words of a methods section with its citations. Report and deposition share this text.

Owns the sentences. Each is said only of a job that did what it says, and tells its numbers from job.json, summary.json
and fsc.json; a paper is cited where its method was used, and nowhere else.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from halfmap.jobs.export import citations
from halfmap.jobs.running.finished import Finished
from halfmap.params.local import Local

CITED = re.compile(r"\[([\w,]+)\]")  # [chen_2013]: a key of citations.TEXT
PART = "refine local"
FROM_MAP = ("refine homogeneous", "refine nonuniform")
THRESHOLD = 0.143  # where summary.json names none; validate.fsc, which is numerics
AT_NYQUIST = 1.001  # rounding
BALL = "the soft sphere that touches the box only"
FITS = {"fit_tilt": "beam tilt", "fit_trefoil": "trefoil", "fit_spherical": "spherical aberration",
        "fit_tetrafoil": "tetrafoil", "fit_anisotropic_magnification": "anisotropic magnification"}  # fmt: skip


@dataclass(frozen=True)
class Methods:
    """``text``: one paragraph, empty for a job that has none; ``cited``: keys of its papers, in their order."""

    text: str
    cited: tuple[str, ...]

    def bibtex(self, version: str) -> str:
        """All that is cited, as a .bib file."""
        return citations.bibtex(self.cited, version)


def of(job: Finished) -> Methods:
    """The methods of a finished refinement or reconstruction; of other jobs none."""
    if job.summary.get("status") != "finished":
        return Methods("", ())
    raw = " ".join(sentence for write in SENTENCES.get(job.name, ()) if (sentence := write(job)))
    cited = [key for group in CITED.findall(raw) for key in group.split(",")]
    text = CITED.sub(lambda found: f"({'; '.join(citations.TEXT[key] for key in found[1].split(','))})", raw)
    return Methods(text, tuple(dict.fromkeys(cited)))


def _refined(job: Finished) -> str:
    n, symmetry = job.summary["n_particles"], job.summary["symmetry"]
    relaxed = job.job["params"].get("relax_symmetry", "none") != "none"
    imposed = f"searched with {symmetry} symmetry, which was not imposed on the map" if relaxed else _imposed(symmetry)
    lowpass = job.job["params"]["initial_lowpass"]
    return (f"{n:,} particle images were refined with halfmap {_version(job)}, {imposed}, from a starting map low-pass "
            f"filtered to {lowpass:g} A, in {job.summary['iterations']} iterations.")  # fmt: skip


def _refined_locally(job: Finished) -> str:
    params = Local.model_construct(**job.job["params"])
    rotation, shift = params.extents
    prior = ", with a Gaussian prior around those" if params.use_alignment_prior else ""
    return (f"A part of the structure was refined with halfmap {_version(job)} from {job.summary['n_particles']:,} "
            f"particle images, within {rotation:g} degrees and {shift:g} A of their poses in the input{prior}, "
            f"{_imposed(job.summary['symmetry'])}, in {job.summary['iterations']} iterations.")  # fmt: skip


def _reconstructed(job: Finished) -> str:
    n, symmetry = job.summary["n_particles"], job.summary["symmetry"]
    return (f"Half-maps were reconstructed with halfmap {_version(job)} from {n:,} particle images at the poses of the "
            f"particle table, {_imposed(symmetry)}.")  # fmt: skip


def _imposed(symmetry: str) -> str:
    return "without symmetry" if symmetry == "C1" else f"with {symmetry} symmetry imposed"


def _independent(job: Finished) -> str:
    """The references of the halves: what keeps the FSC honest."""
    return (f"Two half-sets were refined against maps of their own, which shared data up to "
            f"{job.job['params']['gsfsc_split_resolution']:g} A only [scheres_chen_2012].")  # fmt: skip


def _poses(job: Finished) -> str:
    return ("Particles were aligned by a global search over orientations and shifts at low resolution and then by "
            "second-order optimisation of each pose.")  # fmt: skip


def _regularised(job: Finished) -> str:
    """How references were filtered."""
    if job.name != "refine homogeneous" and job.job["params"].get("nonuniform_enable", False):
        return ("References were filtered place by place as far as the half-maps agree there, a non-uniform "
                "regularisation [punjani_nonuniform_2020].")  # fmt: skip
    return ("References were regularised by the signal-to-noise ratio per resolution shell that the half-maps' FSC "
            "tells [scheres_bayesian_2012].")  # fmt: skip


def _weighted(job: Finished) -> str:
    """What particles count for."""
    params, parts = job.job["params"], []
    if params.get("marginalization"):
        parts.append("uncertain particles were back-projected at several poses, by their probability")
    if params.get("per_particle_scale"):
        parts.append("a grey scale was estimated for each particle")
    return _sentence(parts)


def _masked(job: Finished) -> str:
    """The mask of the reference."""
    params = job.job["params"]
    mask = params["mask"]
    if mask == "none":
        return f"References were masked by {BALL if params['window_structure'] else 'nothing'}."
    if mask != "dynamic":
        return f"References were masked by the static mask {Path(mask).name}."
    scaled = params["dynamic_mask_scaling"] == "resolution"
    kind, unit = ("_factor", "times the resolution") if scaled else ("", "A")
    near, far = params[f"dynamic_mask_near{kind}"], params[f"dynamic_mask_far{kind}"]
    start = params["dynamic_mask_start_resolution"]
    return (f"References were masked by a soft sphere, and once better than {start:g} A by a soft mask made from the "
            f"map itself, falling from 1 to 0 between {near:g} and {far:g} {unit} from its density.")  # fmt: skip


def _lens(job: Finished) -> str:
    """CTF refinement and the curvature of the Ewald sphere."""
    params, parts = job.job["params"], []
    if params.get("refine_defocus"):
        parts.append("the defocus of every particle was refined [zivanov_relion3_2018]")
    fits = [words for name, words in FITS.items() if params.get(name)]
    if params.get("refine_group_ctf") and fits:
        parts.append(f"{_listed(fits)} of every optics group {'was' if len(fits) == 1 else 'were'} refined "
                     "[zivanov_aberrations_2020]")  # fmt: skip
    if params.get("ewald_sphere", "off") != "off":
        parts.append(f"maps were corrected for the curvature of the Ewald sphere ({params['ewald_sphere']} sign) "
                     "[wolf_2006]")  # fmt: skip
    return _sentence(parts)


def _resolution(job: Finished) -> str:
    """The criterion, the number, the mask and the correction behind it."""
    summary, start = job.summary, job.fsc.get("randomised_from_A")
    if not summary.get("resolution_A"):
        return ""
    threshold, found = summary.get("fsc_threshold", THRESHOLD), summary["resolution_A"]
    mask = job.fsc.get("descriptions", {}).get(_judge(job), "").split(": ", 1)[-1]
    seen = f", seen through a mask ({mask})" if mask else ""
    if start is not None:
        seen += f" and corrected for its effect by randomising phases beyond {start:.3g} A [chen_2013]"
    still = found <= AT_NYQUIST * summary["nyquist_A"]
    falls, limit = ("is still above", ", the Nyquist limit") if still else ("falls to", "")
    return (f"The resolution is {found:.2f} A{limit}, where the Fourier shell correlation of the half-maps{seen}, "
            f"{falls} {threshold:g} [rosenthal_henderson_2003]; without a mask it is "
            f"{summary['resolution_unmasked_A']:.2f} A.")  # fmt: skip


def _judge(job: Finished) -> str:
    """The curve whose mask made the corrected one: the mask that fsc.json names first in its words of it."""
    told = job.fsc.get("descriptions", {})
    words = told.get("corrected", "").removeprefix("corrected: ")
    kind = words.split(" mask")[0]
    return {"given": "masked"}.get(kind, kind)


def _sharpened(job: Finished) -> str:
    bfactor, wanted = job.summary.get("bfactor_A2"), job.job["params"].get("bfactor")
    if bfactor is None:
        return "The map was not sharpened."
    how = "a Guinier fit [rosenthal_henderson_2003]" if wanted is None else "choice"
    return f"The map was filtered by its FSC and sharpened with a B-factor of {bfactor:.0f} A^2, from {how}."


def _directions(job: Finished) -> str:
    cfar = job.summary.get("cfar")
    if cfar is None:
        return ""
    return (f"The smallest over the largest area under the FSC in cones of directions [tan_2017], cFAR, is "
            f"{cfar:.2f}.")  # fmt: skip


def _software(job: Finished) -> str:
    versions = job.job["versions"]
    named = ", ".join(f"{label} {versions[name]}" for name, label in
                      (("python", "Python"), ("numpy", "NumPy"), ("scipy", "SciPy"), ("numba", "Numba"))
                      if name in versions)  # fmt: skip
    return f"Software: halfmap {_version(job)} with {named}; random seed {job.job['seed']}."


def _version(job: Finished) -> str:
    return job.job["versions"]["halfmap"]


def _sentence(parts: list[str]) -> str:
    text = "; ".join(parts)
    return text[:1].upper() + text[1:] + "." if text else ""


def _listed(words: list[str]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"


Write = Callable[[Finished], str]
OF_MAPS: tuple[Write, ...] = (_resolution, _sharpened, _directions, _software)
OF_REFERENCES: tuple[Write, ...] = (_independent, _regularised, _weighted, _masked, _lens)
SENTENCES: dict[str, tuple[Write, ...]] = {
    **dict.fromkeys(FROM_MAP, (_refined, _poses, *OF_REFERENCES, *OF_MAPS)),
    PART: (_refined_locally, *OF_REFERENCES, *OF_MAPS),
    "refine auto": (_refined, *OF_REFERENCES, *OF_MAPS),
    "reconstruct": (_reconstructed, _lens, *OF_MAPS),
}
