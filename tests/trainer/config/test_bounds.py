"""Values that no computer can take: each is refused by name, and in a few words."""

import dataclasses
import errno
import json
import os
import subprocess
import sys
import typing

import pytest

from tests.helpers.configs import RUN
from tests.helpers.messages import assert_states, refusal, refused
from tests.helpers.repository import REPOSITORY
from trainer import config, main
from trainer.config import ConfigError, load, resolve
from trainer.config.rules import OptionsOf
from trainer.storage import json_text

SECTIONS = """
[teacher.head]
global_batch_size = 8
steps = 1

[finetune]
global_batch_size = 8
steps = 1

[data.unlabeled]
dataset = "mnist_mini"

[crossval]

[watch]

[study.grid]
"distill.alpha" = [0.1, 0.2]
"""
LONG_FORM = ("distill.terms", "distill.hard_weight", "distill.group_size")
SWEEP = """
[sweep]
sampler = "{sampler}"
[sweep.space]
"{path}" = {values}
"""


def written(tmp_path, text: str) -> str:
    path = tmp_path / "run.toml"
    path.write_text(text)
    return str(path)


def numbers(section: type, path: str):
    """The paths of all numbers in a section and in those below it, with their types."""
    hints = typing.get_type_hints(section, include_extras=True)
    for name, hint in hints.items():
        yield from _numbers_of(hint, f"{path}.{name}" if path else name)


def _numbers_of(hint, path: str):
    if dataclasses.is_dataclass(hint):
        yield from numbers(hint, path)
        return
    for part in typing.get_args(hint):
        if isinstance(part, OptionsOf):
            for owner, options in part.table.items():
                sibling = f"{path.rpartition('.')[0]}.{part.field}"
                name = owner if part.kind is str else f"{owner}:a"
                for inner, kind, _ in numbers(options, path):
                    yield inner, kind, f"{sibling}='{name}'"
            return
    if hint in (int, float):
        yield path, hint, ""
    elif path == "distill.terms" and typing.get_origin(hint) is tuple:
        yield from numbers(typing.get_args(hint)[0], f"{path}[0]")
    elif typing.get_origin(hint) not in (tuple, dict):
        for part in typing.get_args(hint):
            yield from _numbers_of(part, path)


NUMBERS = sorted(
    {(path, kind, owner) for path, kind, owner in numbers(config.Config, "")},
    key=str,
)


def test_all_kinds_of_numbers_are_found():
    paths = {path for path, _, _ in NUMBERS}
    assert len(paths) > 60
    assert {
        *("distill.temperature", "runtime.watchdog_secs", "finetune.learning_rate"),
        *("student.options.dropout", "teacher.head.optimizer_options.beta_1"),
        *("watch.settle_secs", "sweep.trials", "crossval.folds"),
        *("distill.terms[0].final_weight", "distill.terms[0].options.gamma"),
    } <= paths


def test_every_number_has_an_upper_bound_and_a_lower_one(tmp_path):
    path, unbounded = written(tmp_path, RUN + SECTIONS), []
    for name, kind, owner in NUMBERS:
        if name.startswith(("teacher.members", "sweep.")):
            continue  # these stand in the place of other sections
        for value in ("1e308", "-1e308") if kind is float else (2**62, -(2**62)):
            owners = [owner] if owner else []
            if name.startswith(LONG_FORM):
                owners = ["distill={terms = [{loss = 'dist'}]}", *owners]
            try:
                load(path, [*owners, f"{name}={value}"])
            except ConfigError as error:
                told = str(error)
                facts = (f": {name} ", str(kind(value)))
                if not all(fact in told for fact in facts) or len(told) > 999:
                    unbounded.append(f"{name}={value}: {error}")
            else:
                unbounded.append(f"{name}={value}")
    assert not unbounded, "\n".join(unbounded)


@pytest.mark.parametrize(
    ("override", "facts"),
    [
        (f"student.options.hidden_sizes={[1] * 1500}", (1, 100)),
        (f"student.options.hidden_sizes=[{2**40}]", (1, 1048576, 2**40)),
        (f"data.train_split='{'+'.join(['train'] * 2000)}'", (100, 2000)),
        (f"seeds={list(range(-1, 3000))}", ("seeds[0]", 0, -1)),
        (f"name={list(range(3000))}", ("string",)),
        (f"runtime.xla='{'x' * 3000}'", ("'on'",)),
        ("data.background={a = 1}", ("{'a': 1}",)),
        ("distill.temperature=1e-320", (0.001, 1e-320)),
        ("student.train.learning_rate=1e-320", (1e-30, 1e-320)),
    ],
)
def test_what_is_long_or_small_is_refused_in_a_few_words(tmp_path, override, facts):
    path = written(tmp_path, RUN)
    message = refusal(lambda: load(path, [override]), ConfigError)
    assert_states(message, override.partition("=")[0], *facts)
    assert len(message) < 1000


def test_a_grid_of_a_million_cells_is_refused_at_once(tmp_path):
    axis = [round(0.001 * i, 3) for i in range(1000)]
    grid = f'"distill.alpha" = {axis}\n"distill.temperature" = {axis[1:]}\n'
    with refused(ConfigError, "study.grid", 1000, 999000):
        load(written(tmp_path, f"{RUN}\n[study.grid]\n{grid}"))


@pytest.mark.parametrize(
    ("path", "values", "sampler", "facts"),
    [
        *(
            ("distill.alpha", values, "tpe", ("sweep.space", "'distill.alpha'", 10000))
            for values in (
                "{low = 0.0, high = 1.0, step = 1e-300}",
                "{low = 0.0, high = 1e308, step = 1e-9}",
            )
        ),
        (
            *("student.train.steps", "{low = 1, high = 10001}", "grid"),
            ("sweep.space", "'grid'", 10000, 10001),
        ),
        (
            *("student.train.steps", f"{{low = 1, high = 1{'0' * 400}}}", "tpe"),
            ("sweep.space.student.train.steps.high", 64),
        ),
    ],
)
def test_a_sweep_has_no_endless_range(tmp_path, path, values, sampler, facts):
    text = RUN + SWEEP.format(path=path, values=values, sampler=sampler)
    with refused(ConfigError, *facts):
        load(written(tmp_path, text))


def test_a_network_of_as_many_layers_as_the_schema_takes_is_built():
    from trainer import models

    model = models.build(
        "mlp",
        config.MlpOptions(hidden_sizes=(2,) * 100),
        inputs=models.Inputs(shape=(2, 2, 1)),
        num_classes=2,
        seed=0,
        precision="float32",
        setting="student",
    )
    assert model.count_params() == 4 * 2 + 2 + 100 * (2 * 2 + 2)


@pytest.mark.parametrize(
    "text",
    [
        *("1e999", "[-1e999]", "NaN", '{"a": Infinity}', "-Infinity"),
        *("[" * 100_000, '{"a":' * 100_000, "", "{", "9" * 5000),
    ],
)
def test_a_text_that_is_no_json_is_refused(text):
    with pytest.raises(ValueError):  # noqa: PT011 - of any reason
        json_text.parse(text)


def test_json_is_read_as_it_was_written():
    value = {"a": [1, 2.5, None, True], "b": {"c": [{"d": "e"}, 1e300]}, "f": {}}
    assert json_text.parse(json_text.text(value)) == value
    assert json_text.parse(json_text.text(value).encode()) == value


@pytest.mark.parametrize("content", ["1e999", "[" * 100_000])
def test_a_kept_config_that_is_no_json_is_named(tmp_path, capsys, content):
    path, workdir = written(tmp_path, RUN), tmp_path / "workdir"
    settings = json.dumps(resolve(load(path)))
    kept = workdir / "config.json"
    (workdir / "teacher/checkpoints").mkdir(parents=True)
    (workdir / "teacher/checkpoints/step-00000001.npz").write_bytes(b"")
    kept.write_text(settings.replace("0.9", content, 1))
    code = main.main(["trainer", "run", f"--config={path}", f"--workdir={workdir}"])
    assert code == 2
    assert str(kept) in capsys.readouterr().err


@pytest.mark.parametrize("closed", ["stdout", "stderr"])
def test_a_closed_stream_is_told_on_the_other(closed):
    number = {"stdout": 1, "stderr": 2}[closed]
    done = subprocess.run(
        [sys.executable, "-m", "trainer", "--help"],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        preexec_fn=lambda: os.close(number),
        check=False,
    )
    assert done.returncode == 2
    assert_states(done.stdout + done.stderr, closed)


def test_a_very_long_sentence_keeps_its_beginning_and_its_end(capsys, tmp_path):
    name = "x" * 2000
    code = main.main(["trainer", "run", f"--config={tmp_path}/{name}"])
    error = capsys.readouterr().err
    assert code == 2
    assert error.startswith("trainer: --config ")
    assert error.endswith(f"{os.strerror(errno.ENAMETOOLONG)}\n")
    assert len(error) < 1000
