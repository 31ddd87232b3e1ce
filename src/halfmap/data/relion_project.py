"""The tables by which a RELION project knows its jobs: ``default_pipeline.star`` and ``job.star``.

Knows the column names, the numbers that RELION 3.1 has for kinds of jobs, states and files, and the words that
RELION 4 and 5 have for them. Origin: the pipeline files of published projects and what relion_pipeliner of 3.1.3 makes
of them. Which job is listed, when, and who may write: `jobs.relion_project`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from halfmap.errors import InputError
from halfmap.io import star

COUNTER = "rlnPipeLineJobCounter"
PROCESS, NODE = "rlnPipeLineProcessName", "rlnPipeLineNodeName"
NODE_LABEL, DEPTH = "rlnPipeLineNodeTypeLabel", "rlnPipeLineNodeTypeLabelDepth"
FROM, OF, TO = "rlnPipeLineEdgeFromNode", "rlnPipeLineEdgeProcess", "rlnPipeLineEdgeToNode"
TABLES = ("pipeline_general", "pipeline_processes", "pipeline_nodes", "pipeline_input_edges", "pipeline_output_edges")
NUMBER = re.compile(r"job(\d+)/$")
REFINE_NUMBER, REFINE_LABEL = "10", "relion.refine3d"
RUNNING, SUCCEEDED, FAILED, ABORTED = "Running", "Succeeded", "Failed", "Aborted"
STATES = {RUNNING: "0", SUCCEEDED: "2", FAILED: "3", ABORTED: "4"}
# Kind of a file -> number in 3.1, word in 4, word in 5
KINDS = {
    "particles in": ("3", "ParticlesData.star.relion", "ParticleGroupMetadata.star.relion"),
    "map in": ("6", "DensityMap.mrc", "DensityMap.mrc"),
    "mask in": ("7", "Mask3D.mrc.relion", "Mask3D.mrc.relion"),
    "particles": ("3", "ParticlesData.star.relion.refine3d", "ParticleGroupMetadata.star.relion.refine3d"),
    "map": ("6", "DensityMap.mrc.relion.refine3d", "DensityMap.mrc.relion.refine3d"),
    "half-map": ("10", "DensityMap.mrc.relion.halfmap.refine3d", "DensityMap.mrc.relion.halfmap.refine3d"),
    "optimiser": (None, "ProcessData.star.relion.optimiser.refine3d", "OptimiserData.star.relion.refine3d"),
}  # fmt: skip
_VERSION = re.compile(rb"^# (version \d{1,9})\b", re.MULTILINE)
_FIRST_OF_5 = 50001


@dataclass(frozen=True)
class Listed:
    """A refinement as a project lists it; files by name from the root of the project -> kind, see ``KINDS``."""

    name: str  # "Refine3D/job019/"
    inputs: Mapping[str, str]
    outputs: Mapping[str, str]


@dataclass(frozen=True)
class Pipeline:
    """What a ``default_pipeline.star`` says, every value as it stands there."""

    blocks: dict[str, star.Block]
    version: str  # the comment above each table

    @property
    def style(self) -> int:
        """3, 4 or 5: the version of RELION whose words it has."""
        if self.has("pipeline_nodes", DEPTH) or int(self.version.split()[-1]) >= _FIRST_OF_5:
            return 5
        return 4 if self.has("pipeline_processes", "rlnPipeLineProcessTypeLabel") else 3

    def has(self, table: str, tag: str) -> bool:
        """Whether there is such a column."""
        return table in self.blocks and tag in self.blocks[table].columns

    @property
    def counter(self) -> int:
        """Number of the next job."""
        return int(self.blocks["pipeline_general"].integers(COUNTER)[0])

    def names(self, table: str, tag: str) -> list[str]:
        """The values of a column, none where there is no such table."""
        return self.blocks[table].strings(tag) if self.has(table, tag) else []


def read(path: Path) -> Pipeline:
    """A pipeline. Raises InputError for a file that is none."""
    blocks = star.read(path)
    if COUNTER not in getattr(blocks.get("pipeline_general"), "columns", {}):
        raise InputError(f"{path}: no data_pipeline_general with {COUNTER}; it is not the pipeline of a RELION project")
    found = _VERSION.search(path.read_bytes())
    pipeline = Pipeline(blocks, found[1].decode() if found else "version 30001")
    _refuse_incomplete(path, pipeline)
    return pipeline


def _refuse_incomplete(path: Path, pipeline: Pipeline) -> None:
    """Raises: InputError naming the columns that a line of the table cannot be read or changed without."""
    needed = {"pipeline_processes": (PROCESS, *_process_tags(pipeline.style)), "pipeline_nodes": (NODE,),
              "pipeline_input_edges": (FROM, OF), "pipeline_output_edges": (OF, TO)}  # fmt: skip
    lines = [f"{path}: {tag}: column missing in data_{table}; the pipeline is damaged"
             for table, tags in needed.items() if getattr(pipeline.blocks.get(table), "columns", {})
             for tag in tags if not pipeline.has(table, tag)]  # fmt: skip
    if not pipeline.blocks["pipeline_general"].rows:
        lines.append(f"{path}: {COUNTER}: no number; the pipeline is damaged")
    if lines:
        raise InputError(lines)


def _process_tags(style: int) -> tuple[str, str]:
    """The columns of the kind of a job and of its state."""
    ending = "" if style == 3 else "Label"
    return f"rlnPipeLineProcessType{ending}", f"rlnPipeLineProcessStatus{ending}"


def write(path: Path, pipeline: Pipeline) -> None:
    """Write a pipeline, whole or not at all."""
    first = [pipeline.blocks[name] for name in TABLES if name in pipeline.blocks]
    others = [block for name, block in pipeline.blocks.items() if name not in TABLES]
    star.write(path, [*first, *others], comment=pipeline.version)


def with_job(pipeline: Pipeline, job: Listed, state: str) -> Pipeline:
    """The pipeline with this job in this state: a new line, or the line it has already; everything else as it was."""
    blocks = dict(pipeline.blocks)
    number = NUMBER.search(job.name)
    following = max(pipeline.counter, int(number[1]) + 1 if number else 0)
    blocks["pipeline_general"] = _changed(blocks["pipeline_general"], 0, {COUNTER: str(following)})
    blocks["pipeline_processes"] = _with_process(pipeline, job.name, state)
    outputs = {name: kind for name, kind in job.outputs.items() if KINDS[kind][pipeline.style - 3] is not None}
    files = {**job.inputs, **outputs}
    known = set(pipeline.names("pipeline_nodes", NODE))
    rows = [_node(pipeline.style, name, kind) for name, kind in files.items() if name not in known]
    blocks["pipeline_nodes"] = _appended(blocks, "pipeline_nodes", rows)
    edges = {"pipeline_input_edges": [{FROM: name, OF: job.name} for name in job.inputs],
             "pipeline_output_edges": [{OF: job.name, TO: name} for name in outputs]}  # fmt: skip
    for table, wanted in edges.items():
        old = _rows(blocks.get(table), wanted)
        blocks[table] = _appended(blocks, table, [row for row in wanted if tuple(row.values()) not in old])
    return Pipeline({name: block for name, block in blocks.items() if block.columns}, pipeline.version)


def places(pipeline: Pipeline, job: Listed) -> list[str]:
    """Names below ``.Nodes/`` by which RELION's file browser finds the results."""
    kinds = {name: KINDS[kind][pipeline.style - 3] for name, kind in job.outputs.items()}
    return [f"{kind.split('.')[0]}/{name}" for name, kind in kinds.items() if kind is not None]


def write_job(path: Path, options: Mapping[str, str], style: int, going_on: bool) -> None:
    """A ``job.star``: what RELION's window shows of a job. ``options``: by its names for them."""
    kind = {"rlnJobType": REFINE_NUMBER} if style == 3 else {"rlnJobTypeLabel": REFINE_LABEL}
    head = {**kind, "rlnJobIsContinue": str(int(going_on)), **({} if style == 3 else {"rlnJobIsTomo": "0"})}
    rows = {"rlnJobOptionVariable": list(options), "rlnJobOptionValue": list(options.values())}
    blocks = [star.Block("job", {tag: _texts([value]) for tag, value in head.items()}, is_loop=False),
              star.Block("joboptions_values", {tag: _texts(values) for tag, values in rows.items()})]  # fmt: skip
    star.write(path, blocks, comment="version 50001" if style == 5 else "version 30001")


def _with_process(pipeline: Pipeline, name: str, state: str) -> star.Block:
    labels = pipeline.style != 3
    kind, status = _process_tags(pipeline.style)
    word = state if labels else STATES[state]
    names = pipeline.names("pipeline_processes", PROCESS)
    if name in names:
        return _changed(pipeline.blocks["pipeline_processes"], names.index(name), {status: word})
    row = {PROCESS: name, "rlnPipeLineProcessAlias": "None", kind: REFINE_LABEL if labels else REFINE_NUMBER,
           status: word}  # fmt: skip
    return _appended(pipeline.blocks, "pipeline_processes", [row])


def _node(style: int, name: str, kind: str) -> dict[str, str]:
    word = KINDS[kind][style - 3]
    if style == 3:
        return {NODE: name, "rlnPipeLineNodeType": word}
    return {NODE: name, NODE_LABEL: word, **({DEPTH: "1"} if style == 5 else {})}


def _appended(blocks: Mapping[str, star.Block], table: str, rows: list[dict[str, str]]) -> star.Block:
    """The table with more rows; a column they do not tell gets RELION's "None"."""
    block = blocks.get(table, star.Block(table))
    tags = list(block.columns) or list(rows[0] if rows else ())
    old = {tag: block.strings(tag) if tag in block.columns else [] for tag in tags}
    return star.Block(table, {tag: _texts([*old[tag], *(row.get(tag, "None") for row in rows)]) for tag in tags})


def _changed(block: star.Block, row: int, values: Mapping[str, str]) -> star.Block:
    columns = {tag: block.strings(tag) for tag in block.columns}
    for tag, value in values.items():
        columns[tag][row] = value
    return star.Block(block.name, {tag: _texts(texts) for tag, texts in columns.items()}, block.is_loop)


def _rows(block: star.Block | None, like: list[dict[str, str]]) -> set[tuple[str, ...]]:
    """The rows of a table, in the columns of ``like``."""
    if block is None or not like or not block.columns:
        return set()
    return set(zip(*(block.strings(tag) for tag in like[0]), strict=True))


def _texts(values: list[str]) -> np.ndarray:
    return np.array(values, dtype=object)
