"""Caches of images in files that fit no memory, found before anything trains."""

import pytest

from tests.helpers import whole_run
from tests.helpers.caches import act
from tests.helpers.messages import assert_states
from tests.helpers.pets import DENSE, draw, write_config
from trainer import main

TRAINED = "--set=teacher={model='mlp', train={global_batch_size=4, steps=2}}"
NUM_TRAIN, NUM_INBOX = 8, 5


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    path = tmp_path_factory.mktemp("root")
    for i, name in enumerate(("cat", "dog")):
        draw(path / "pets" / "train" / name, range(100 * i, 100 * i + NUM_TRAIN // 2))
        draw(path / "pets" / "test" / name, range(100 * i + 50, 100 * i + 54))
    draw(path / "inbox", range(200, 200 + NUM_INBOX))
    write_config(path)
    return path


@pytest.mark.slow
@pytest.mark.parametrize(
    ("num_images", "more"),
    [
        (NUM_TRAIN, []),
        (NUM_TRAIN + NUM_INBOX, ["--set=data.unlabeled.dataset='folder:{root}/inbox'"]),
    ],
)
def test_a_run_is_refused_before_its_teacher_trains(
    root, tmp_path, capsys, num_images, more
):
    needed = num_images * DENSE.itemsize
    settings = [TRAINED, f"--set=data.memory_budget_bytes={needed - 1}"]
    settings += [text.format(root=root) for text in more]
    config = root / "pets.toml"
    facts = ("data.memory_budget_bytes", needed, needed - 1, num_images, "'online'")
    assert main.main(whole_run.command("run", config, tmp_path, *settings)) == 2
    assert_states(capsys.readouterr().err, *facts, "distill.top_k", "distill.views = 1")
    assert not (tmp_path / "teacher").exists()
    # A plan tells it too, after what the cache would take.
    assert act("plan", config, tmp_path, *settings) == 2
    assert_states(capsys.readouterr().err, *facts)
    settings.append(f"--set=data.memory_budget_bytes={needed}")
    assert act("plan", config, tmp_path, *settings) == 0
