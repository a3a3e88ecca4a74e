"""One choice of soft targets for a study, and cells that no cache can serve."""

import json

import pytest
from etils import epath

from tests.helpers.messages import assert_states
from trainer import config, study

SPLITS = "'data.transfer_split' = ['train[:50]', 'train[:50]+test[:50]']"


@pytest.fixture
def run(world, tmp_path):
    """Runs a study of dots; tells where it and its cells have soft targets from."""
    file = tmp_path / "study.toml"
    text = (world / "one.toml").read_text()
    workdir = epath.Path(tmp_path / "workdir")

    def source(folder) -> str:
        kept = json.loads((folder / "config.json").read_text())
        return kept["distill"]["soft_targets"]

    def finished(grid: str, *overrides: str) -> tuple[str, list[str]]:
        file.write_text(f"{text}\n[study.grid]\n{grid}\n")
        settings = config.load(str(file), overrides)
        cells = study.variants_of(str(file), overrides, settings, workdir)
        study.run(cells, settings, workdir, None)
        assert all(cell.is_evaluated for cell in cells)
        return source(workdir), [source(cell.path) for cell in cells]

    return finished


@pytest.mark.slow
def test_cells_that_no_cache_can_serve_have_a_live_teacher(run, capsys):
    # Each cell's 130 steps of 20 are 2,600 examples, and 5,000 are in the split.
    steps = "student.train.steps=130"
    assert run(SPLITS, steps) == ("online", ["online", "online"])
    assert_states(capsys.readouterr().err, "2,600", "5,000")


@pytest.mark.slow
def test_a_study_counts_the_cells_that_a_cache_can_serve(run, capsys):
    steps = "student.train.steps=251"
    assert run(SPLITS, steps) == ("cached", ["cached", "online"])
    assert_states(capsys.readouterr().err, "5,020", "5,000")
    # More cells come later: the study keeps to its choice, and so does each cell.
    more = SPLITS.replace("]']", "]', 'train[:60]']")
    assert run(more, steps) == ("cached", ["cached", "online", "cached"])
