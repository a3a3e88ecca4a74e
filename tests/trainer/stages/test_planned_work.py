"""The work that a run is planned to be, by numbers of examples."""

import pytest
from etils import epath

from tests.helpers import configs
from trainer import config
from trainer.stages import planned_work
from trainer.stages.planned_work import Sizes

SIZES = Sizes(training=960, transfer=480, labeled=240, validation=300, test=600)
RUNTIME = """
[runtime]
steps_per_loop = 5
log_every_steps = 5
eval_every_steps = 10
save_every_steps = 10
"""
FINETUNE = """
[finetune]
global_batch_size = 24
epochs = 1
"""


@pytest.fixture
def settings(tmp_path):
    path = tmp_path / "config.toml"
    text = configs.SECTIONS.replace('name = "small"', 'name = "small"\nseeds = [3, 4]')
    path.write_text(text.replace("steps = 30", "steps = 32") + FINETUNE + RUNTIME)
    return config.load(str(path))


def test_a_whole_run_is_its_trainings_its_evaluations_and_its_page(settings):
    works = planned_work.whole_run(settings, SIZES, caches=[])
    found = [(w.title, w.stage, w.network, w.examples, w.predictions) for w in works]
    # 2 epochs of 10 steps; 32 steps; an epoch of 10 smaller ones. Each is validated
    # every 10 steps, and after the last.
    trainings = [("teacher", "teacher", [0], 2 * 960, 2 * 300)]
    trainings += [(role, "student", [3, 4], 32 * 96, 4 * 300) for role in ROLES[:2]]
    trainings += [("finetune", "student", [3, 4], 240, 300)]
    assert found[:7] == [
        (f"{role} seed {seed}", role, network, examples, predictions)
        for role, network, seeds, examples, predictions in trainings
        for seed in seeds
    ]
    # The last and the best of each.
    assert {w.predictions for w in works[7:14]} == {2 * 600}
    assert {w.stage for w in works[7:14]} == {"evaluate"}
    assert [w.kind for w in works[7:14]] == ["teacher", *sorted(2 * ROLES, key=ORDER)]
    assert [(w.title, w.size) for w in works[14:]] == [("report", 0)]
    assert len({w.title for w in works}) == len(works)


ROLES = ["student", "baseline", "finetune"]
ORDER = ROLES.index


def test_what_has_ended_is_not_left(settings, tmp_path):
    folder = tmp_path / "baseline" / "seed-4"
    folder.mkdir(parents=True)
    (folder / "model.keras").touch()
    works = planned_work.whole_run(settings, SIZES, caches=[])
    left = planned_work.what_is_left(works, settings, epath.Path(tmp_path))
    assert {w.title for w in works} - {w.title for w in left} == {"baseline seed 4"}
