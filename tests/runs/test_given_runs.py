"""Runs on datasets that a user's own functions give."""

import json

import numpy as np
import pytest

from tests.helpers import given_sets, groups, whole_run
from tests.helpers.kills import kill_between_two_saves
from tests.helpers.messages import assert_states
from trainer import main
from trainer.storage import seal
from trainer.train.events import read_metrics

CONFIG = """
name = "given"
[data]
dataset = "tests.helpers.given_sets:{function}"
memory_budget_bytes = {budget}
shuffle_window = 50
[teacher]
model = "mlp"
options = {{hidden_sizes = [16], input = "zero_to_one"}}
train = {{global_batch_size = 20, steps = {steps}}}
[student]
model = "cnn"
options = {{filters = [4, 4], input = "zero_to_one"}}
train = {{global_batch_size = 20, steps = 20, augment = "inception_crop"}}
[runtime]
steps_per_loop = 5
log_every_steps = 5
eval_every_steps = 100
save_every_steps = 100
"""


def write_config(folder, function, *, budget=2**30, steps=300):
    path = folder / "run.toml"
    text = CONFIG.format(function=function, budget=budget, steps=steps)
    path.write_text(text)
    return path


@pytest.mark.slow
def test_a_run_of_a_function_ends_in_a_table_and_refuses_other_data(tmp_path, capsys):
    config = write_config(tmp_path, "stream", budget=0, steps=100)
    command = whole_run.command("run", config, tmp_path / "run")
    assert main.main(command) == 0
    output = capsys.readouterr()
    assert "gain over baseline" in output.out
    assert_states(output.err, "240 + 30 + 30 examples of 4 classes", "8 x 8 x 1")
    results = seal.parse((tmp_path / "run" / "results.json").read_bytes())
    assert results["models"]["teacher"]["test"]["examples"] == 30
    kept = json.loads((tmp_path / "run" / "files" / "dataset.json").read_text())
    assert (kept["classes"], kept["input_dtype"]) == (list("0123"), "float32")
    assert main.main([*command, "--set=data.options={batch=7}"]) == 2
    assert_states(capsys.readouterr().err, "data.options.batch")
    # The same settings and other examples, of which streamed ones are compared too.
    own = given_sets.examples
    given_sets.examples = lambda count: tuple(part[::-1] for part in own(count))
    (tmp_path / "run" / "results.json").unlink()
    try:
        assert main.main(command) == 2
    finally:
        given_sets.examples = own
    assert_states(capsys.readouterr().err, "train of data.dataset", "--workdir")
    picture = tmp_path / "picture.png"
    picture.write_bytes(b"")
    asked = whole_run.command("predict", config, tmp_path / "run", str(picture))
    assert main.main(asked) == 2
    assert_states(capsys.readouterr().err, "float32", "[8, 8, 1]")


@pytest.mark.slow
@pytest.mark.parametrize(("function", "budget"), [("stream", 0), ("Items", 2**30)])
def test_killed_it_ends_bit_for_bit_the_same(tmp_path, function, budget):
    config = write_config(tmp_path, function, budget=budget, steps=900)
    code, _, err = whole_run.finish(whole_run.start("teacher", config, tmp_path / "a"))
    assert code == 0, err
    process = whole_run.start("teacher", config, tmp_path / "b")
    kill_between_two_saves(process, tmp_path / "b" / "teacher")
    code, _, err = whole_run.finish(whole_run.start("teacher", config, tmp_path / "b"))
    assert code == 0, err
    assert "from step" in err
    for file in ("last.keras", "model.keras"):
        ours, theirs = (
            whole_run.weights(tmp_path / name / "teacher" / file) for name in "ab"
        )
        for mine, its in zip(ours, theirs, strict=True):
            np.testing.assert_array_equal(mine, its)


@pytest.mark.slow
def test_two_workers_stream_what_each_gets_from_the_function(tmp_path):
    config = write_config(tmp_path, "stream", budget=0, steps=20)
    workdirs = (tmp_path / "two", tmp_path / "one")
    groups.finish(tmp_path / "group", 2, "teacher", config, workdirs[0])
    assert main.main(whole_run.command("teacher", config, workdirs[1])) == 0
    two, one = (
        [
            line["train/loss"]
            for line in read_metrics(workdir / "teacher" / "metrics.jsonl")
        ]
        for workdir in workdirs
    )
    np.testing.assert_allclose(two, one, rtol=1e-4)
    write_config(tmp_path, "of_worker", steps=20)
    arguments = (tmp_path / "apart", 2, "teacher", config, tmp_path / "three")
    with groups.running(*arguments) as group:
        assert set(group.codes().values()) == {2}
        for rank in (0, 1):
            facts = ("all workers", "tests.helpers.given_sets:of_worker")
            assert_states(group.err(rank), *facts)
