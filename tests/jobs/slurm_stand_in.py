"""sbatch, squeue, sacct and scancel for tests: programs that keep their jobs in a file, which a test may change.

`jobs` holds a line for each job, number|name|state|reason. A file `fails_sbatch` makes that program fail with what it
says. Nothing is ever run: a test plays the node.
"""

import sys
from pathlib import Path

PROGRAM = '''#!{python} -SE
import sys
from pathlib import Path
folder = Path({folder!r})
name = Path(sys.argv[0]).name
with open(folder / "calls", "a") as calls:
    calls.write(repr([name, *sys.argv[1:]]) + "\\n")
fails = folder / ("fails_" + name)
if fails.exists():
    sys.exit(fails.read_text())
jobs = folder / "jobs"
lines = [line.split("|") for line in jobs.read_text().splitlines()] if jobs.exists() else []
def keep():
    jobs.write_text("".join("|".join(line) + "\\n" for line in lines))
if name == "sbatch":
    number = str(100 + len(lines))
    called = next(word.split("=", 1)[1] for word in sys.argv[1:] if word.startswith("--job-name="))
    lines.append([number, called, "PENDING", "(Priority)"])
    keep()
    print(number)
elif name == "scancel":
    for line in lines:
        line[2] = "CANCELLED" if line[0] == sys.argv[1] else line[2]
    keep()
else:
    live = ("PENDING", "RUNNING", "REQUEUED", "COMPLETING")
    asked = [word.split("=", 1)[1] for word in sys.argv[1:] if word.startswith("--jobs=")]
    for line in lines:
        if (line[2].split()[0] in live) == (name == "squeue") and (not asked or line[0] in asked):
            print("|".join(line))
'''


class Slurm:
    """The stand-in in ``folder``; its programs are in ``bin``."""

    def __init__(self, folder: Path):
        self.folder, self.bin = folder, folder / "bin"
        self.bin.mkdir(parents=True)
        for name in ("sbatch", "squeue", "sacct", "scancel"):
            path = self.bin / name
            path.write_text(PROGRAM.format(python=sys.executable, folder=str(folder)))
            path.chmod(0o755)

    def jobs(self) -> list[list[str]]:
        path = self.folder / "jobs"
        return [line.split("|") for line in path.read_text().splitlines()] if path.exists() else []

    def set(self, number: str, state: str, reason: str = "", name: str | None = None) -> None:
        """What the cluster says of a job from now on."""
        lines = [[n, name or old, state, reason] if n == number else [n, old, s, r] for n, old, s, r in self.jobs()]
        (self.folder / "jobs").write_text("".join("|".join(line) + "\n" for line in lines))

    def forget(self) -> None:
        (self.folder / "jobs").unlink()

    def fails(self, name: str, message: str) -> None:
        (self.folder / f"fails_{name}").write_text(message)

    def mend(self, name: str) -> None:
        (self.folder / f"fails_{name}").unlink()

    def calls(self) -> list[list[str]]:
        path = self.folder / "calls"
        return [eval(line) for line in path.read_text().splitlines()] if path.exists() else []
