"""Wrong input: the exit code, the seconds until it, and whether the fault is named. It simulates its own data.

    faults.py --out DIR [--ledger FILE]
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from ledger import Finished, Ledger, demanded, halfmap, parser

from halfmap.data import relion
from halfmap.io import mrc
from halfmap.maps import resample

SECONDS = 5.0
BAD_IMAGE = 7
STACK, TABLE = "particles.mrcs", "particles.star"


@dataclass(frozen=True)
class Fault:
    """One way to go wrong: ``spoil`` changes a copy of the set; all of ``named`` must stand in the complaint."""

    name: str
    code: int
    named: tuple[str, ...]
    spoil: Callable[[Path], None] = lambda folder: None
    flags: tuple[str, ...] = ()


def truncate(folder: Path) -> None:
    stack = folder / STACK
    with open(stack, "r+b") as file:
        file.truncate(stack.stat().st_size * 2 // 3)


def put_nan(folder: Path) -> None:
    header = mrc.read_header(folder / STACK)
    with open(folder / STACK, "r+b") as file:
        file.seek(header.data_offset + BAD_IMAGE * header.image_bytes + header.image_bytes // 2)
        file.write(np.float32(np.nan).tobytes())


def write_text_in_a_number(folder: Path) -> None:
    """Word 2 of row 3 is a defocus, as `halfmap simulate` writes its tables."""
    lines = (folder / TABLE).read_text().splitlines()
    rows = [i for i, line in enumerate(lines) if "@" in line]
    words = lines[rows[2]].split()
    words[2] = "in-focus"
    lines[rows[2]] = " ".join(words)
    (folder / TABLE).write_text("\n".join(lines) + "\n")


def make_box_odd(folder: Path) -> None:
    header = mrc.read_header(folder / STACK)
    images = mrc.read_images(folder / STACK, np.arange(header.nz))
    mrc.write_stack(folder / STACK, images[:, :-1, :-1].copy(), header.voxel_size_A)


def make_small_mask(folder: Path) -> None:
    whole = mrc.read(folder / "map.mrc")
    mrc.write(folder / "mask.mrc", resample.crop_pad(whole, whole.box // 2))


FAULTS = (
    Fault("truncated stack", 3, (STACK, "truncated"), truncate),
    Fault("missing stack", 3, (STACK, "no file"), lambda folder: (folder / STACK).unlink()),
    Fault("missing map", 3, ("map.mrc",), lambda folder: (folder / "map.mrc").unlink()),
    Fault("text in a number", 3, (TABLE, "rlnDefocusU", "row 3", "in-focus"), write_text_in_a_number),
    Fault("odd box", 3, (STACK, "odd"), make_box_odd),
    Fault("mask of another box", 3, ("mask.mrc", "box"), make_small_mask, ("--mask", "mask.mrc")),
    Fault("unknown symmetry", 2, ("symmetry", "Q7"), flags=("--symmetry", "Q7")),
    Fault("three faults at once", 3, (STACK, "truncated", "map.mrc", "no-mask.mrc"),
          lambda folder: (truncate(folder), (folder / "map.mrc").unlink()), ("--mask", "no-mask.mrc")),
)


def simulated(out: Path) -> Path:
    """300 large-pixel images, enough to refine in seconds."""
    made = ("--box-size", 32, "--pixel-size", 5, "--symmetry", "D2", "--snr", 0.5, "--seed", 1, "--overwrite")
    demanded(halfmap("simulate", "-n", 300, *made, "--out", out / "sound"))
    return out / "sound"


def spoiled(sound: Path, fault: Fault) -> Path:
    """A copy of the sound set with the fault in it. Its table names the images of the copy."""
    folder = (sound.parent / fault.name.replace(" ", "_")).resolve()
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    for name in (STACK, "map.mrc"):
        shutil.copy(sound / name, folder)
    table = (sound / TABLE).read_text()
    (folder / TABLE).write_text(re.sub(rf"@\S*{STACK}", f"@{folder / STACK}", table))
    fault.spoil(folder)
    return folder


def refined(folder: Path, flags: tuple[str, ...]) -> Finished:
    """The refinement of the set in ``folder``; flags that are files there get its path."""
    flags = tuple(str(folder / flag) if flag.endswith(".mrc") else flag for flag in flags)
    symmetry = () if "--symmetry" in flags else ("--symmetry", "D2")
    return halfmap("refine", "homogeneous", "--particles", folder / TABLE, "--volume", folder / "map.mrc", *symmetry,
                   *flags, "--seed", 1, "--overwrite", "--out", folder / "out")


def refused(ledger: Ledger, sound: Path, fault: Fault) -> None:
    """One row: exit code and seconds of a run that must not start."""
    done = refined(spoiled(sound, fault), fault.flags)
    unnamed = [word for word in fault.named if word not in done.stderr]
    holds = done.code == fault.code and done.seconds <= SECONDS and not unnamed and "Traceback" not in done.stderr
    ledger.row(f"{fault.name}: exit code, seconds", f"{done.code}, {done.seconds:.1f} s",
               f"{fault.code}, <= {SECONDS:g} s, named", holds, unnamed=unnamed, said=done.stderr.strip().splitlines())


def quarantined(ledger: Ledger, sound: Path) -> None:
    """One row: a run with one bad image goes on without it."""
    folder = spoiled(sound, Fault("NaN image", 0, (), put_nan))
    done = refined(folder, ())
    rejected = folder / "out" / "rejected.star"
    listed = relion.read_table(rejected).index.tolist() if rejected.exists() else []
    kept = relion.read_table(folder / "out" / TABLE).index if done.code == 0 else np.array([BAD_IMAGE])
    ledger.row("NaN image: exit code, images rejected", f"{done.code}, {listed}", f"0, [{BAD_IMAGE}], run goes on",
               done.code == 0 and listed == [BAD_IMAGE] and BAD_IMAGE not in kept, seconds=round(done.seconds, 1))


def main() -> None:
    flags = parser(__doc__)
    flags.add_argument("--out", type=Path, required=True)
    chosen = flags.parse_args()
    ledger = Ledger(chosen.ledger)
    chosen.out.mkdir(parents=True, exist_ok=True)
    sound = simulated(chosen.out)
    for fault in FAULTS:
        refused(ledger, sound, fault)
    quarantined(ledger, sound)
    ledger.exit()


if __name__ == "__main__":
    main()
