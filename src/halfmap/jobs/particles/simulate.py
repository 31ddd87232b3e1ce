"""Runs `halfmap simulate`: the map, the images and the truth."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from halfmap import simulate
from halfmap.geometry import symmetry
from halfmap.io import mrc
from halfmap.jobs.particles import restacking
from halfmap.jobs.running import inputs
from halfmap.jobs.running.events import Passing, Watch
from halfmap.jobs.running.resources import require_disk
from halfmap.params.simulate import Simulate
from halfmap.physics import aberrations
from halfmap.simulate import micrographs
from halfmap.types import Map

BOX, PIXEL_SIZE_A = 64, 3.0  # of the protein-like object unless told otherwise: small enough to refine in seconds
MM = 1e7  # Angstrom
ROW_BYTES, PLOTS_BYTES = 800, 3e6  # of a particle in both tables; of pictures and page


@dataclass(frozen=True)
class Watched(simulate.Simulation):
    """A simulation that tells of its progress and can be stopped while it makes images."""

    watch: Watch

    def images(self) -> Iterator[np.ndarray]:
        yield from self._counted(super().images(), len)

    def exposed(self) -> Iterator[tuple[np.ndarray, float]]:
        yield from self._counted(super().exposed(), lambda batch: len(batch[0]))

    def _counted(self, batches: Iterator, size: Callable) -> Iterator:
        done, total = 0, len(self.particles)
        for batch in batches:
            done += size(batch)
            self.watch("progress", stage="simulate", done=done, total=total)
            yield batch


def run(params: Simulate, folder: Path, rng: np.random.Generator, watch: Watch) -> dict:
    """Simulate and write; returns the summary of the result files."""
    map, hinge = _object(params, rng) if params.map is None else _given(params)
    require_disk(folder, disk_GB(params, map.box))
    simulation = simulate.simulation(map, params.n, rng, settings(params, hinge))
    mrc.write(folder / "map.mrc", map)
    if params.micrographs is None:
        simulate.write(folder, Watched(**vars(simulation), watch=watch), 12 if params.float16 else 2)
    else:
        _write_micrographs(params, folder, simulation, rng, watch)
    told = {"symmetry": params.symmetry, "n_particles": params.n, "nyquist_A": map.nyquist_A}
    return told if hinge is None else {**told, "hinge_px": _from_corner(hinge, map)}


def _write_micrographs(params: Simulate, folder: Path, simulation: simulate.Simulation, rng: np.random.Generator,
                       watch: Watch) -> None:  # fmt: skip
    where = micrographs.layout(params.n, params.micrographs, simulation.map.box, params.micrograph_size, rng)
    simulation = micrographs.in_one_focus(simulation, where)
    files = micrographs.write(folder, Watched(**vars(simulation), watch=watch), where, 12 if params.float16 else 2)
    small, step = restacking.thumbnail(files[0])
    here = where.centres[where.micrograph == 0] / step
    restacking.montage(folder, micrograph=small, picks=here, fits=np.ones(len(here), bool))


def check(params: Simulate, watch: Passing) -> dict:
    """Read the maps, make sure of the point group, tell what the images will take."""
    map, _ = inputs.read_all(
        lambda: mrc.read(params.map) if params.map else None,
        lambda: mrc.read(params.moving) if params.moving else None,
    )
    symmetry.group(params.symmetry or "C1")
    own = params.box_size or BOX, params.pixel_size_A or PIXEL_SIZE_A
    box, voxel_size_A = own if map is None else (map.box, map.voxel_size_A)
    needed = disk_GB(params, box)
    require_disk(params.out, needed)
    return {"resolved": {"box_size": box, "pixel_size_A": voxel_size_A}, "forecast": {"disk_GB": needed}}


def disk_GB(params: Simulate, box: int) -> float:
    """Size of the job folder in 10^9 bytes: the images, the map, tables and plots."""
    pixels = params.n * box**2
    if params.micrographs is not None:
        size = params.micrograph_size or micrographs.smallest(params.n, params.micrographs, box)
        pixels = params.micrographs * size**2
    return (pixels * (2 if params.float16 else 4) + params.n * ROW_BYTES + 4 * box**3 + PLOTS_BYTES) / 1e9


def settings(params: Simulate, hinge: simulate.Hinge | None) -> simulate.Settings:
    """The settings in the units of the simulation: Angstrom and radians."""
    return simulate.Settings(
        snr=params.snr,
        voltage_kV=params.voltage_kV,
        spherical_aberration_A=params.spherical_aberration_mm * MM,
        amplitude_contrast=params.amplitude_contrast,
        phase_shift_rad=float(np.deg2rad(params.phase_shift_deg)),
        defocus_A=(params.defocus_min_A, params.defocus_max_A),
        astigmatism_A=params.astigmatism_A,
        bfactor_A2=params.decay_A2,
        shift_sd_A=params.shift_sd_A,
        scale_sd=params.contrast_sd,
        noise_rise=params.noise_rise,
        junk=params.junk,
        groups=params.optics_groups,
        beam_tilt_rad=(1e-3 * params.beam_tilt_x_mrad, 1e-3 * params.beam_tilt_y_mrad),
        odd_zernike=params.odd_zernike,
        even_zernike=params.even_zernike,
        magnification=_magnification(params.magnification_anisotropy, np.deg2rad(params.magnification_axis_deg)),
        hinge=hinge,
    )


def _magnification(anisotropy: float, axis_rad: float) -> tuple[tuple[float, float], tuple[float, float]]:
    """Symmetric matrix with sqrt(1 + e) along the axis and its inverse across: the area stays."""
    if anisotropy == 0:
        return aberrations.IDENTITY
    along, across = np.sqrt(1 + anisotropy), 1 / np.sqrt(1 + anisotropy)
    c, s = np.cos(axis_rad), np.sin(axis_rad)
    turn = np.array([[c, s], [-s, c]])
    return tuple(map(tuple, (turn.T @ np.diag([along, across]) @ turn).tolist()))


def hinge_of(params: Simulate, moving: Map | None) -> simulate.Hinge | None:
    """The hinge of a domain that was given."""
    if moving is None:
        return None
    pivot = (params.hinge_x_A, params.hinge_y_A, params.hinge_z_A)
    return simulate.Hinge(moving, pivot, float(np.deg2rad(params.hinge_angle_deg)))


def _given(params: Simulate) -> tuple[Map, simulate.Hinge | None]:
    """What the images shall show, as files."""
    map, moving = inputs.read_all(
        lambda: mrc.read(params.map),
        lambda: mrc.read(params.moving) if params.moving else None,
    )
    return map, hinge_of(params, moving)


def _object(params: Simulate, rng: np.random.Generator) -> tuple[Map, simulate.Hinge | None]:
    """The same, made from nothing."""
    box, pixel_size_A = params.box_size or BOX, params.pixel_size_A or PIXEL_SIZE_A
    if params.domain_fraction is None:
        operators = symmetry.group(params.symmetry or "C1")
        return simulate.protein_like(box, pixel_size_A, operators, rng, params.object_diameter_A), None
    body, domain, pivot_A = simulate.hinged(box, pixel_size_A, params.domain_fraction, rng, params.object_diameter_A)
    return body, simulate.Hinge(domain, pivot_A, float(np.deg2rad(params.hinge_angle_deg)))


def _from_corner(hinge: simulate.Hinge, map: Map) -> list[float]:
    """The hinge in voxels from the corner of the box, as a fulcrum is given."""
    return [round(x / map.voxel_size_A + map.box // 2, 2) for x in hinge.pivot_A]
