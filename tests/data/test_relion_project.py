"""The pipeline of a RELION project: a job is added, and nothing else changes."""

import pytest

from halfmap.data import relion_project
from halfmap.data.relion_project import FAILED, RUNNING, SUCCEEDED, Listed
from halfmap.errors import InputError

# In the layout of RELION 3.1, as relion_pipeliner 3.1.3 writes it
OF_3 = """
# version 30001

data_pipeline_general

_rlnPipeLineJobCounter                       4
 

# version 30001

data_pipeline_processes

loop_ 
_rlnPipeLineProcessName #1 
_rlnPipeLineProcessAlias #2 
_rlnPipeLineProcessType #3 
_rlnPipeLineProcessStatus #4 
Import/job001/ Import/movies/            0            2 
Extract/job003/       None            5            2 
 

# version 30001

data_pipeline_nodes

loop_ 
_rlnPipeLineNodeName #1 
_rlnPipeLineNodeType #2 
Import/job001/movies.star            0 
Extract/job003/particles.star            3 
 

# version 30001

data_pipeline_output_edges

loop_ 
_rlnPipeLineEdgeProcess #1 
_rlnPipeLineEdgeToNode #2 
Import/job001/ Import/job001/movies.star 
Extract/job003/ Extract/job003/particles.star 
 
"""  # noqa: W291 - as the program writes it
OF_4 = (
    OF_3.replace("ProcessType", "ProcessTypeLabel").replace("ProcessStatus", "ProcessStatusLabel")
    .replace("NodeType", "NodeTypeLabel").replace("           0            2", " relion.import.movies  Succeeded")
    .replace("           5            2", " relion.extract  Succeeded")
    .replace("star            0", "star MicrographMoviesData.star.relion")
    .replace("star            3", "star ParticlesData.star.relion")
)  # fmt: skip
OF_5 = (
    OF_4.replace("30001", "50001").replace("_rlnPipeLineNodeTypeLabel #2", "_rlnPipeLineNodeTypeLabel #2 \n"
                                           "_rlnPipeLineNodeTypeLabelDepth #3")
    .replace("MicrographMoviesData.star.relion", "MicrographMovieGroupMetadata.star.relion            1")
    .replace("ParticlesData.star.relion", "ParticleGroupMetadata.star.relion            1")
)  # fmt: skip
EMPTY = "\n# version 30001\n\ndata_pipeline_general\n\n_rlnPipeLineJobCounter                       1\n \n"
JOB = Listed(
    "Refine3D/job004/",
    {"Extract/job003/particles.star": "particles in", "Class3D/map.mrc": "map in"},
    {"Refine3D/job004/run_data.star": "particles", "Refine3D/job004/run_optimiser.star": "optimiser",
     "Refine3D/job004/run_half1_class001_unfil.mrc": "half-map", "Refine3D/job004/run_class001.mrc": "map"},
)  # fmt: skip


def pipeline(folder, text):
    path = folder / "default_pipeline.star"
    path.write_text(text)
    return relion_project.read(path)


def again(folder, changed):
    relion_project.write(folder / "again.star", changed)
    return relion_project.read(folder / "again.star")


def rows(table, name):
    block = table.blocks[name]
    return list(zip(*(block.strings(tag) for tag in block.columns), strict=True))


@pytest.mark.parametrize("text, style", [(OF_3, 3), (OF_4, 4), (OF_5, 5), (EMPTY, 3)])
def test_the_version_of_relion_is_seen(tmp_path, text, style):
    assert pipeline(tmp_path, text).style == style


@pytest.mark.parametrize("text", [OF_3, OF_4, OF_5])
def test_a_new_job_is_added_and_every_line_stays(tmp_path, text):
    before = pipeline(tmp_path, text)
    after = again(tmp_path, relion_project.with_job(before, JOB, RUNNING))
    assert after.counter == 5
    assert after.version == before.version
    for table in before.blocks:
        if table != "pipeline_general":
            assert list(after.blocks[table].columns) == list(before.blocks[table].columns)
            assert rows(after, table)[: before.blocks[table].rows] == rows(before, table)
    assert rows(after, "pipeline_input_edges") == [("Extract/job003/particles.star", JOB.name),
                                                   ("Class3D/map.mrc", JOB.name)]  # fmt: skip


@pytest.mark.parametrize("text, process, node", [
    (OF_3, ("10", "0"), ("3",)),
    (OF_4, ("relion.refine3d", "Running"), ("ParticlesData.star.relion.refine3d",)),
    (OF_5, ("relion.refine3d", "Running"), ("ParticleGroupMetadata.star.relion.refine3d", "1")),
])  # fmt: skip
def test_a_job_is_told_in_the_words_of_that_version(tmp_path, text, process, node):
    after = again(tmp_path, relion_project.with_job(pipeline(tmp_path, text), JOB, RUNNING))
    assert rows(after, "pipeline_processes")[-1] == (JOB.name, "None", *process)
    assert ("Refine3D/job004/run_data.star", *node) in rows(after, "pipeline_nodes")


def test_an_optimiser_is_no_node_of_version_3(tmp_path):
    after = relion_project.with_job(pipeline(tmp_path, OF_3), JOB, RUNNING)
    assert not any("optimiser" in name for name in after.names("pipeline_nodes", relion_project.NODE))
    assert not any("optimiser" in to for _, to in rows(after, "pipeline_output_edges"))


@pytest.mark.parametrize("text, state, word", [(OF_3, SUCCEEDED, "2"), (OF_3, FAILED, "3"), (OF_5, FAILED, "Failed")])
def test_a_job_that_is_listed_changes_its_state_alone(tmp_path, text, state, word):
    running = again(tmp_path, relion_project.with_job(pipeline(tmp_path, text), JOB, RUNNING))
    ended = again(tmp_path, relion_project.with_job(running, JOB, state))
    assert rows(ended, "pipeline_processes")[-1][-1] == word
    assert rows(ended, "pipeline_processes")[:-1] == rows(running, "pipeline_processes")[:-1]
    for table in set(running.blocks) - {"pipeline_processes"}:
        assert rows(ended, table) == rows(running, table)


def test_a_project_without_jobs_gets_its_first_one(tmp_path):
    after = again(tmp_path, relion_project.with_job(pipeline(tmp_path, EMPTY), JOB, SUCCEEDED))
    assert rows(after, "pipeline_processes") == [(JOB.name, "None", "10", "2")]


def test_another_star_file_is_no_pipeline(tmp_path):
    with pytest.raises(InputError, match="not the pipeline of a RELION project"):
        pipeline(tmp_path, "data_particles\n\n_rlnImageName 1@a.mrcs\n")
