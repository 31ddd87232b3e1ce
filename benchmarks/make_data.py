"""Make the simulated benchmark data sets: particles.star (no poses), truth.star, map.mrc in a folder each.

    make_data.py --checks DIR --data DIR --out DIR [--only NAME ...]

``--checks`` holds the independent ``model_to_map.py`` and ``simulate.py`` (not part of this project), ``--data`` the
downloaded maps and models (see its README). A set that has a truth.star is left alone.

| set | particle | box | images |
|---|---|---|---|
| 6cvm_128 | beta-galactosidase 6CVM, D2, 434 kDa | 128 px, 1.5 A | 3,000 |
| 6cvm_8000 | the same; also first_1000.star, truth_1000.star | 128 px, 1.5 A | 8,000 |
| 6cvm_256 | the same | 256 px, 1.244 A | 5,000 |
| asym | 70S ribosome, C1 | 96 px, 3.5 A | 3,000 |
| hinge | the same with a hinge: 30 % of its mass turns, 8 degrees per axis; truth_moving.star | 96 px, 3.5 A | 3,000 |
| local_hinge | the same at SNR 0.1; hinge.txt, x y z in A from the corner | 96 px, 3.5 A | 4,000 |
| small_hinge_1 to _5 | the same; 10 % of its mass turns, 3 degrees per axis | 96 px, 3.5 A | 1,500 each |
| octa | protein-like object made by halfmap, O; images by the independent simulator | 128 px, 1.6 A | 3,000 |
| scales | 6CVM with SNR 0.1 and a standard deviation of 0.3 of the particles' contrast | 128 px, 1.5 A | 2,000 |
| one_group | 6CVM | 144 px, 1.5 A | 3,000 |
| two_groups | 1,500 of one_group and 1,500 of 1.8 A, 120 px, with as much noise per frequency | two | 3,000 |
| nothing_6cvm | 6CVM, SNR 0.1: to be found from nothing, as the next three | 72 px, 3.0 A | 1,500 |
| nothing_70s | 70S ribosome, both parts at rest, SNR 0.1 | 96 px, 3.5 A | 1,500 |
| nothing_8eow | potassium channel 8EOW, SNR 0.1 | 80 px, 2.8 A | 1,500 |
| nothing_classes | 1,000 with the moving part, then 1,000 without, SNR 0.1; classes.txt | 96 px, 3.5 A | 2,000 |
| small | one chain of 6CVM to residue 627 (its first three domains), C1, 67 kDa, SNR 0.03 | 96 px, 1.5 A | 10,000 |
| noise | no particle at all: coloured noise under the CTFs of EMPIAR-10204 | 64 px, 3.54 A | 2,000 |
| noise_2 | the same, another draw of noise | 64 px, 3.54 A | 2,000 |
| noise_48 | the same | 48 px, 4.72 A | 3,000 |
| noise_70s | the same, to start from the 70S ribosome | 56 px, 6.0 A | 3,000 |
| noise_8, noise_9 | as noise, another draw of noise and CTFs | 64 px, 3.54 A | 2,000 |
| noise_phases | images of EMPIAR-10204, every phase of their transforms drawn anew | 64 px, 3.54 A | 2,000 |

The chains of 6CVM obey D2 about the coordinate axes through their centroid to 0.001 A (superposition of the C-alpha
atoms), so centring the model, which model_to_map.py does, also puts its two-fold axes on those of halfmap and RELION.
"""

from __future__ import annotations

import argparse
import gzip
import subprocess
import sys
from dataclasses import dataclass, fields, replace
from functools import partial
from pathlib import Path

import numpy as np

from halfmap import simulate
from halfmap.data import relion
from halfmap.data.particles import Particles
from halfmap.data.stack import Stack
from halfmap.geometry import symmetry
from halfmap.io import mrc
from halfmap.maps import masks, resample
from halfmap.types import Map

SNR = 0.05
SMALL = 0.1  # of the mass, that turns in the sets small_hinge


@dataclass(frozen=True)
class Sources:
    checks: Path
    data: Path

    def run(self, script: str, *arguments: object) -> None:
        subprocess.run([sys.executable, self.checks / script, *map(str, arguments)], check=True)


def simulate_images(sources: Sources, out: Path, number: int, *, seed: int, snr=SNR, extra: tuple = ()) -> None:
    """Images of out/map.mrc by the independent simulator."""
    sources.run(
        "simulate.py", "--map", out / "map.mrc", "--out", out, "-n", number, "--snr", snr, "--seed", seed, *extra
    )


def beta_galactosidase(sources: Sources, out: Path, box: int, voxel_size_A: float, number: int, seed: int, snr=SNR,
                       extra: tuple = ()) -> None:
    sources.run("model_to_map.py", sources.data / "models" / "6cvm.pdb.gz", out / "map.mrc", voxel_size_A, box)
    simulate_images(sources, out, number, seed=seed, snr=snr, extra=extra)


def make_6cvm_128(sources: Sources, out: Path) -> None:
    beta_galactosidase(sources, out, 128, 1.5, 3000, seed=1)


def make_6cvm_8000(sources: Sources, out: Path) -> None:
    beta_galactosidase(sources, out, 128, 1.5, 8000, seed=2)
    for table, subset in (("particles.star", "first_1000.star"), ("truth.star", "truth_1000.star")):
        relion.write(out / subset, relion.read(out / table)[np.arange(1000)])


def make_6cvm_256(sources: Sources, out: Path) -> None:
    beta_galactosidase(sources, out, 256, 1.244, 5000, seed=3)


def make_asym(sources: Sources, out: Path) -> None:
    body, moving = (mrc.read(sources.data / "maps" / "hinge" / name) for name in ("body.mrc", "moving.mrc"))
    mrc.write(out / "map.mrc", Map(body.data + moving.data, body.voxel_size_A))
    simulate_images(sources, out, 3000, seed=4)


def make_hinge(sources: Sources, out: Path) -> None:
    folder = sources.data / "maps" / "hinge"
    pivot = (folder / "hinge.txt").read_text().split()
    hinged(out, mrc.read(folder / "body.mrc"), mrc.read(folder / "moving.mrc"), pivot)
    simulate_images(sources, out, 3000, seed=5, extra=_turning(out, 8))


def make_local_hinge(sources: Sources, out: Path) -> None:
    folder = sources.data / "maps" / "hinge"
    pivot = (folder / "hinge.txt").read_text().split()
    hinged(out, mrc.read(folder / "body.mrc"), mrc.read(folder / "moving.mrc"), pivot)
    simulate_images(sources, out, 4000, seed=11, snr=0.1, extra=_turning(out, 8))


def small_hinge(sources: Sources, out: Path, seed: int) -> None:
    """A ball of the moving part about its centre of mass moves, the rest of it rests; it turns about that centre."""
    folder = sources.data / "maps" / "hinge"
    body, moving = (mrc.read(folder / name) for name in ("body.mrc", "moving.mrc"))
    part = _ball_of(moving, SMALL * float((body.data + moving.data).sum()))
    rest = Map(body.data + moving.data - part.data, body.voxel_size_A)
    corner = body.box // 2 * body.voxel_size_A
    hinged(out, rest, part, [f"{x:.2f}" for x in masks.centre(part) + corner])
    simulate_images(sources, out, 1500, seed=20 + seed, snr=0.1, extra=_turning(out, 3))


def _ball_of(map: Map, mass: float) -> Map:
    """What of the map lies in the ball about its centre of mass that holds ``mass``."""
    z, y, x = np.mgrid[: map.box, : map.box, : map.box] - map.box // 2
    cx, cy, cz = masks.centre(map) / map.voxel_size_A
    far = np.sqrt((x - cx) ** 2 + (y - cy) ** 2 + (z - cz) ** 2)
    order = np.argsort(far, axis=None)
    last = np.searchsorted(np.cumsum(map.data.ravel()[order]), mass)
    return Map(np.where(far <= far.ravel()[order[last]], map.data, 0), map.voxel_size_A)


def hinged(out: Path, body: Map, moving: Map, pivot: list[str]) -> None:
    """Both parts, and where one turns about the other; map.mrc is what starts a refinement."""
    mrc.write(out / "body.mrc", body)
    mrc.write(out / "moving.mrc", moving)
    mrc.write(out / "map.mrc", body)
    (out / "hinge.txt").write_text(" ".join(pivot) + "\n")


def _turning(out: Path, degrees: float) -> tuple:
    pivot = (out / "hinge.txt").read_text().split()
    return ("--moving", out / "moving.mrc", "--hinge", *pivot, "--hinge_sigma", degrees)


def make_octa(sources: Sources, out: Path) -> None:
    rng = np.random.default_rng(6)
    mrc.write(out / "map.mrc", simulate.protein_like(128, 1.6, symmetry.group("O"), rng, diameter_A=150.0))
    simulate_images(sources, out, 3000, seed=6)


def make_scales(sources: Sources, out: Path) -> None:
    beta_galactosidase(sources, out, 128, 1.5, 2000, 8, snr=0.1, extra=("--scale_sigma", 0.3, "--groups", 1))


def make_one_group(sources: Sources, out: Path) -> None:
    beta_galactosidase(sources, out, 144, 1.5, 3000, 10)


def make_two_groups(sources: Sources, out: Path) -> None:
    """After one_group. Both boxes are 216 A long: the simulator's images are periodic, what the CTF carries over one
    edge comes in at the other, and padding or cropping them would put it in the wrong place."""
    fine, coarse = out.parent / "one_group", out / "coarse"
    coarse.mkdir(exist_ok=True)
    # resampled, not made anew: samples of a model every 1.8 A are aliased beyond 4 A and show another molecule
    mrc.write(coarse / "map.mrc", resample.to_grid(mrc.read(fine / "map.mrc"), 120, 1.8))
    # noise of one variance per pixel is (1.8 / 1.5)^2 times stronger per frequency in the larger pixels
    simulate_images(sources, coarse, 1500, seed=9, snr=SNR * (1.8 / 1.5) ** 2)
    mrc.write(out / "map.mrc", mrc.read(fine / "map.mrc"))
    for table in ("particles.star", "truth.star"):
        relion.write(out / table, joined(relion.read(fine / table)[np.arange(1500)], relion.read(coarse / table)))


def joined(a: Particles, b: Particles) -> Particles:
    """One table of two, foreign columns left out: both number their optics groups from 1."""
    both = {name: np.concatenate([getattr(a, name), getattr(b, name)]) for name in ("index", "half", "scale")}
    parts = {kind: None if getattr(a, kind) is None else _record(getattr(a, kind), getattr(b, kind))
             for kind in ("poses", "defocus")}
    return Particles(a.files + b.files, np.concatenate([a.file, b.file + len(a.files)]), optics=a.optics + b.optics,
                     group=np.concatenate([a.group, b.group + len(a.optics)]), **both, **parts)


def _record(a, b):
    return type(a)(*(np.concatenate([getattr(a, f.name), getattr(b, f.name)]) for f in fields(a)))


def make_nothing_6cvm(sources: Sources, out: Path) -> None:
    beta_galactosidase(sources, out, 72, 3.0, 1500, seed=31, snr=0.1)


def make_nothing_70s(sources: Sources, out: Path) -> None:
    body, moving = (mrc.read(sources.data / "maps" / "hinge" / name) for name in ("body.mrc", "moving.mrc"))
    mrc.write(out / "map.mrc", Map(body.data + moving.data, body.voxel_size_A))
    simulate_images(sources, out, 1500, seed=32, snr=0.1)


def make_nothing_8eow(sources: Sources, out: Path) -> None:
    sources.run("model_to_map.py", sources.data / "models" / "8eow.cif.gz", out / "map.mrc", 2.8, 80, "--assembly")
    simulate_images(sources, out, 1500, seed=33, snr=0.1)


def make_nothing_classes(sources: Sources, out: Path) -> None:
    body, moving = (mrc.read(sources.data / "maps" / "hinge" / name) for name in ("body.mrc", "moving.mrc"))
    tables = []
    for number, map in enumerate((Map(body.data + moving.data, body.voxel_size_A), body)):
        part = out / f"class{number + 1}"
        part.mkdir(exist_ok=True)
        mrc.write(part / "map.mrc", map)
        # the noise is as strong in both: the smaller one has a lower SNR
        power = float((map.data**2).sum() / ((body.data + moving.data) ** 2).sum())
        simulate_images(sources, part, 1000, seed=34 + number, snr=0.1 * power)
        tables.append(part)
    mrc.write(out / "map.mrc", mrc.read(tables[0] / "map.mrc"))
    (out / "classes.txt").write_text("1\n" * 1000 + "2\n" * 1000)
    for name in ("particles.star", "truth.star"):
        relion.write(out / name, joined(*(relion.read(part / name) for part in tables)))


def make_small(sources: Sources, out: Path) -> None:
    """The first three domains of beta-galactosidase, one chain: compact, without any symmetry."""
    (out / "model.pdb").write_text("\n".join(_atoms(sources.data / "models" / "6cvm.pdb.gz", "A", 627)) + "\nEND\n")
    sources.run("model_to_map.py", out / "model.pdb", out / "map.mrc", 1.5, 96)
    simulate_images(sources, out, 10_000, seed=36, snr=0.03)


def _atoms(model: Path, chain: str, last: int) -> list[str]:
    """Atoms of a protein chain up to a residue, as lines of a PDB file: columns 22 chain, 23 to 26 residue."""
    with gzip.open(model, "rt") as lines:
        return [line.rstrip() for line in lines
                if line.startswith("ATOM") and line[21] == chain and int(line[22:26]) <= last]


def make_noise(sources: Sources, out: Path, seed: int = 7) -> None:
    particles = _of_empiar_10204(sources, np.random.default_rng(seed) if seed != 7 else None)
    images = simulate.noise(len(particles), particles.optics[0].box, np.random.default_rng(seed))
    _write_noise(out, particles, images, _start_of_noise(sources))


def make_noise_phases(sources: Sources, out: Path) -> None:
    rng = np.random.default_rng(11)
    particles = _of_empiar_10204(sources, rng)
    stack = Stack(particles)
    images = np.concatenate([images for _, images in stack.batches(np.arange(len(particles)), 200)])
    random = np.fft.rfft2(rng.standard_normal(images.shape))
    drawn = np.abs(np.fft.rfft2(images)) * random / np.maximum(np.abs(random), 1e-30)
    _write_noise(out, particles, np.fft.irfft2(drawn, s=images.shape[1:]).astype(np.float32), _start_of_noise(sources))


def _of_empiar_10204(sources: Sources, rng: np.random.Generator | None) -> Particles:
    """2,000 of its particles: the first ones, or those that a generator draws."""
    particles = relion.read(sources.data / "empiar-10204" / "particles.star")
    return particles[np.arange(2000) if rng is None else np.sort(rng.permutation(len(particles))[:2000])]


def make_noise_2(sources: Sources, out: Path) -> None:
    _noise_from(sources, out, 2000, _start_of_noise(sources), seed=17)


def make_noise_48(sources: Sources, out: Path) -> None:
    """Pixels of 4.72 A, the same length as 64 of 3.54 A."""
    _noise_from(sources, out, 3000, resample.fourier_crop(_start_of_noise(sources), 48), seed=18)


def make_noise_70s(sources: Sources, out: Path) -> None:
    body, moving = (mrc.read(sources.data / "maps" / "hinge" / name) for name in ("body.mrc", "moving.mrc"))
    whole = Map(body.data + moving.data, body.voxel_size_A)
    _noise_from(sources, out, 3000, resample.fourier_crop(whole, 56), seed=19)


def _noise_from(sources: Sources, out: Path, number: int, start: Map, seed: int) -> None:
    """Coloured noise in the sampling of the map it will start from, with CTFs of EMPIAR-10204, in turn."""
    known = relion.read(sources.data / "empiar-10204" / "particles.star")
    particles = known[np.arange(number) % len(known)]
    optics = replace(particles.optics[0], box=start.box, pixel_size_A=start.voxel_size_A)
    images = simulate.noise(number, start.box, np.random.default_rng(seed))
    _write_noise(out, replace(particles, optics=(optics,)), images, start)


def _write_noise(out: Path, particles: Particles, images, start: Map) -> None:
    """Table, images and the map to start from."""
    mrc.write_stack(out / "particles.mrcs", images, start.voxel_size_A, mode=2)
    own = replace(
        particles,
        files=(out / "particles.mrcs",),
        file=np.zeros(len(particles), np.int32),
        index=np.arange(len(particles)),
        poses=None,
    )
    relion.write(out / "particles.star", own)
    relion.write(out / "truth.star", own)
    mrc.write(out / "map.mrc", start)


def _start_of_noise(sources: Sources) -> Map:
    """Beta-galactosidase in a box of 64 voxels of 3.54 A."""
    whole = mrc.read(sources.data / "empiar-10204" / "reference_100px.mrc")
    edge = (whole.box - 64) // 2
    return Map(whole.data[(slice(edge, -edge),) * 3].copy(), whole.voxel_size_A)


SETS = {name.removeprefix("make_"): make for name, make in list(globals().items()) if name.startswith("make_")}
SETS |= {f"noise_{seed}": partial(make_noise, seed=seed) for seed in (8, 9)}
SETS |= {f"small_hinge_{seed}": partial(small_hinge, seed=seed) for seed in range(1, 6)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--checks", type=Path, required=True)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--only", nargs="+", choices=SETS, default=list(SETS))
    chosen = parser.parse_args()
    for name in chosen.only:
        folder = chosen.out / name
        if not (folder / "truth.star").exists():
            folder.mkdir(parents=True, exist_ok=True)
            print(name, flush=True)
            SETS[name](Sources(chosen.checks, chosen.data), folder)


if __name__ == "__main__":
    main()
