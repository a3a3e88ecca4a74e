"""What a configuration file may say, and what its reader answers when it may not."""

import dataclasses
import errno
import json
import os

import pytest

from tests.helpers.configs import SECTIONS
from tests.helpers.cpu_time import cpu_secs
from tests.helpers.messages import refused
from tests.helpers.repository import REPOSITORY
from trainer import config
from trainer.config import (
    ConfigError,
    Unset,
    differences,
    flatten,
    load,
    read_settings,
    resolve,
)

CARVED = ("'train[:90%]'", "'train[90%:]'")


@pytest.fixture
def write(tmp_path):
    """Writes a TOML file and gives its path."""

    def write(text, *replacements):
        for old, new in replacements:
            assert old in text
            text = text.replace(old, new)
        path = tmp_path / "run.toml"
        path.write_text(text, encoding="utf-8")
        return str(path)

    return write


@pytest.fixture
def minimal(write):
    return write(SECTIONS)


def dataclasses_in(value):
    yield value
    for field in dataclasses.fields(value):
        inner = getattr(value, field.name)
        if dataclasses.is_dataclass(inner):
            yield from dataclasses_in(inner)


def test_defaults_and_values_of_a_minimal_file(minimal):
    run = load(minimal)
    assert (run.name, run.seeds, run.data.dataset) == ("small", (0,), "mnist_mini")
    assert (run.teacher.train.epochs, run.teacher.train.steps) == (2.0, 0)
    assert (run.student.train.epochs, run.student.train.steps) == (0.0, 30)
    assert (run.distill.alpha, run.distill.temperature) == (0.9, 4.0)
    assert run.teacher.options == config.CnnOptions()
    assert run.student.options == config.MlpOptions()


def test_set_replaces_or_adds_a_value(minimal):
    run = load(minimal, ["seeds=[3, 4]", "distill.temperature=2", "runtime.xla='off'"])
    assert (run.seeds, run.distill.temperature, run.runtime.xla) == ((3, 4), 2.0, "off")
    assert type(run.distill.temperature) is float


def test_the_last_of_two_sets_holds(minimal):
    assert load(minimal, ["seeds=[1]", "seeds=[2]"]).seeds == (2,)


@pytest.mark.parametrize(
    ("section", "name", "options"),
    [
        ("teacher", "model='conv_mlp'", config.ConvMlpOptions()),
        ("student.train", "optimizer='sgd'", config.SgdOptions()),
        ("student.train", "schedule='cosine'", config.CosineOptions()),
        ("data", "augment='shift'", config.ShiftOptions()),
    ],
)
def test_options_are_those_of_the_name(minimal, section, name, options):
    owner = load(minimal, [f"{section}.{name}"])
    for part in section.split("."):
        owner = getattr(owner, part)
    assert options in (getattr(owner, f.name) for f in dataclasses.fields(owner))


def test_a_users_own_model_keeps_its_options_as_given(write):
    path = write(
        SECTIONS,
        (
            'model = "mlp"',
            'model = "a.b:f"\noptions = {n = [1, 2], x = 3, k = {y = 1.5}}',
        ),
    )
    options = load(path).student.options
    assert options == {"n": [1, 2], "x": 3, "k": {"y": 1.5}}
    assert type(options["x"]) is int


def test_one_file_loaded_twice_gives_equal_configs(minimal):
    assert load(minimal) == load(minimal)
    assert load(minimal) != load(minimal, ["distill.alpha=0.5"])


def test_no_setting_can_be_changed_after_loading(minimal):
    run = load(minimal, ["data.augment='shift'"])
    parts = list(dataclasses_in(run))
    assert {config.Config, config.TrainConfig, config.ShiftOptions} <= {
        *map(type, parts)
    }
    for part in parts:
        for field in dataclasses.fields(part):
            with pytest.raises(dataclasses.FrozenInstanceError):
                setattr(part, field.name, None)


@pytest.mark.parametrize(
    "path", sorted(REPOSITORY.glob("configs/*.toml")), ids=lambda p: p.stem
)
def test_every_shipped_file_loads(path):
    assert load(str(path)).name


def test_there_are_shipped_files():
    assert list(REPOSITORY.glob("configs/*.toml"))


@pytest.mark.parametrize(
    ("overrides", "epochs", "steps"),
    [
        (["teacher.train.steps=7"], 0.0, 7),
        (["teacher.train.epochs=0.5"], 0.5, 0),
        (["teacher.train.steps=7", "teacher.train.epochs=3"], 3.0, 0),
        (["teacher.train.epochs=3", "teacher.train.steps=7"], 0.0, 7),
        (["student.train.epochs=3"], 2.0, 0),
    ],
)
def test_setting_one_length_unsets_the_other_of_its_section(
    minimal, overrides, epochs, steps
):
    train = load(minimal, overrides).teacher.train
    assert (train.epochs, train.steps) == (epochs, steps)


def test_setting_epochs_unsets_the_steps_of_the_file(minimal):
    train = load(minimal, ["student.train.epochs=3"]).student.train
    assert (train.epochs, train.steps) == (3.0, 0)


def test_lengths_that_are_options_of_a_users_own_model_live_together(write):
    path = write(SECTIONS, ('"mlp"', '"a.b:f"\noptions = {epochs = 3}'))
    options = load(path, ["student.options.steps=7"]).student.options
    assert options == {"epochs": 3, "steps": 7}


@pytest.mark.parametrize(
    ("lengths", "got", "hint"),
    [
        ("epochs = 2\nsteps = 3", ("epochs = 2.0", "steps = 3"), "remove"),
        ("", ("epochs = 0.0", "steps = 0"), "set"),
        ("steps = 0", ("epochs = 0.0", "steps = 0"), "set"),
    ],
)
def test_exactly_one_length_is_asked_for(write, lengths, got, hint):
    with refused(ConfigError, "teacher.train", *got, hint):
        load(write(SECTIONS, ("epochs = 2", lengths)))


@pytest.mark.parametrize(
    ("setting", "value", "rule", "got"),
    [
        ("name", "''", "empty", "''"),
        ("data.dataset", "{a = 1}", "string", "{'a': 1}"),
        ("data.image_size", "-1", (0, 16384), "-1"),
        ("teacher.seed", "3.5", "whole number", "3.5"),
        ("teacher.seed", "true", "whole number", "True"),
        ("teacher.seed", "2147483648", (0, 2147483647), "2147483648"),
        ("student.model", "true", "string", "True"),
        ("student.options.dropout", "1", (0, "below 1"), "got 1"),
        ("student.train.learning_rate", "2020-01-01", "finite", "datetime.date"),
        ("distill.alpha", "true", "finite", "True"),
        ("distill.alpha", "1.5", (0, 1), "1.5"),
        ("distill.alpha", "nan", "finite", "nan"),
        ("distill.temperature", "inf", "finite", "inf"),
        ("distill.temperature", "0", (0.001, 1000000.0), "got 0"),
        ("distill.temperature", "1" + "0" * 400, "finite", "1" + "0" * 199),
        ("teacher.seed", "1" + "0" * 400, "64 bits", "1" + "0" * 199),
        ("teacher.seed", "0x1" + "0" * 9999, "64 bits", "digits"),
        ("data.data_dir", '"a\\u0000"', "NUL", "'a\\x00'"),
        ("runtime.xla", "'fast'", ("'auto'", "'on'", "'off'"), "'fast'"),
        ("seeds", "[]", "empty", "[]"),
    ],
)
def test_a_bad_value_is_refused(minimal, setting, value, rule, got):
    rules = (rule,) if isinstance(rule, str) else rule
    hint = f"--set={setting}=VALUE"
    with refused(ConfigError, f"--set={setting}=", f": {setting}", *rules, got, hint):
        load(minimal, [f"{setting}={value}"])


def test_a_bad_value_in_the_file_is_refused_alike(write):
    path = write(SECTIONS, ("steps = 30", "steps = -30"))
    hint = "--set=student.train.steps=VALUE"
    with refused(ConfigError, f"{path}: student.train.steps", 0, 10**9, -30, hint):
        load(path)


def test_whole_numbers_are_no_booleans(minimal):
    sgd = "{optimizer = 'sgd', optimizer_options.nesterov = 1, global_batch_size = 8}"
    setting = "student.train.optimizer_options.nesterov"
    with refused(ConfigError, f": {setting}", "true", "false", 1):
        load(minimal, [f"student.train={sgd}"])


def test_a_bad_item_is_named_and_its_list_can_be_set(minimal):
    with refused(ConfigError, "seeds[1]", 0, 2147483647, -1, "--set=seeds=VALUE"):
        load(minimal, ["seeds=[0, -1]"])


@pytest.mark.parametrize(
    ("override", "setting", "facts"),
    [
        ("studnet.model='mlp'", "studnet", ("'student'?", "crossval, data, distill,")),
        ("student.modle='mlp'", "student.modle", ("'model'?", "options, precision,")),
        ("data.zzz=1", "data.zzz", ("augment, augment_options,",)),
        (
            *("student.model='mpl'", "student.model"),
            ("'mpl'", "package.module:function", "'mlp'?", "ConvNeXtBase, "),
        ),
        (
            *("student.train.optimizer='adm'", "student.train.optimizer"),
            ("'adm'", "'adam'?", "adam, adamw, sgd"),
        ),
        (
            *("student.train.schedule='cosin'", "student.train.schedule"),
            ("'cosin'", "'cosine'?", "constant, cosine"),
        ),
        (
            *("data.augment='shfit'", "data.augment"),
            ("'shfit'", "'shift'?", "crop_flip, inception_crop, none, "),
        ),
    ],
)
def test_an_unknown_name_is_refused_with_the_known_ones(
    minimal, override, setting, facts
):
    with refused(ConfigError, f"--set={override}: {setting}", *facts):
        load(minimal, [override])


@pytest.mark.parametrize(
    ("section", "option", "owner", "known"),
    [
        ("student.options", "filters", "model 'mlp'", "activation, dropout, "),
        ("student.train.optimizer_options", "momentum", "optimizer 'adam'", "beta_1, "),
        (
            "student.train.schedule_options",
            "rate",
            "schedule 'constant'",
            "warmup_steps",
        ),
        ("data.augment_options", "max_pixels", "augment 'none'", "none"),
    ],
)
def test_an_option_of_another_name_is_refused(minimal, section, option, owner, known):
    with refused(ConfigError, f"1: {section}.{option}", owner, known):
        load(minimal, [f"{section}.{option}=1"])


@pytest.mark.parametrize(
    ("override", "setting", "got", "hint"),
    [
        ("distill=3", "distill", 3, "--set=distill.FIELD=VALUE"),
        ("distill=[{}]", "distill", [{}], "--set=distill.FIELD=VALUE"),
        ("teacher.train=3", "teacher.train", 3, "[teacher.train]"),
        ("student.options=3", "student.options", 3, "[student.options]"),
        ("name.first='a'", "name", "'small'", "--set=name=VALUE"),
        (
            *("data.dataset.a.b=1", "data.dataset", "'mnist_mini'"),
            "--set=data.dataset=VALUE",
        ),
    ],
)
def test_values_and_sections_are_told_apart(minimal, override, setting, got, hint):
    with refused(ConfigError, setting, "section", got, hint):
        load(minimal, [override])


@pytest.mark.parametrize(
    ("text", "setting"),
    [
        ('name = "small"', "name"),
        ('dataset = "mnist_mini"', "data.dataset"),
        ('model = "mlp"', "student.model"),
        ("[student.train]\nglobal_batch_size = 96\nsteps = 30", "student.train"),
    ],
)
def test_a_missing_setting_is_named(write, text, setting):
    with refused(ConfigError, f": {setting}", "missing", f"--set={setting}=VALUE"):
        load(write(SECTIONS, (text, "")))


@pytest.mark.parametrize(
    ("value", "setting", "got"),
    [
        ("2020-01-01", "x", "datetime.date(2020, 1, 1)"),
        ("[[nan]]", "x[0][0]", "nan"),
        ("{a=inf}", "x.a", "inf"),
    ],
)
def test_a_users_own_options_must_be_what_config_json_can_hold(
    minimal, value, setting, got
):
    with refused(ConfigError, f": student.options.{setting}", got):
        load(minimal, ["student.model='a.b:f'", f"student.options.x={value}"])


@pytest.mark.parametrize(
    ("overrides", "facts"),
    [
        (["seeds=[0, 1, 0]"], ("seeds", "once", [0, 1, 0], "--set='seeds=[0, 1]'")),
        (
            ["data.exclude_labels=[3, 3]"],
            ("data.exclude_labels", "once", [3, 3], "--set='data.exclude_labels=[3]'"),
        ),
        (
            ["data.validation_split='test'"],
            ("data.test_split", "data.validation_split", "'test'", *CARVED),
        ),
        (
            ["data.train_split='train'", "data.validation_split='train'"],
            ("data.validation_split", "data.train_split", "'train'", *CARVED),
        ),
        (
            ["distill.mixup=0.5"],
            ("distill.mixup", "distill.alpha = 1.0", 0.9, "distill.mixup = 0"),
        ),
        (
            ["distill={mixup = 1, alpha = 1, soft_targets = 'cached'}"],
            (
                *("distill.mixup", "distill.soft_targets = 'online'", "'cached'"),
                "distill.mixup = 0",
            ),
        ),
        (["teacher={model = 'cnn'}"], ("teacher", "[teacher.train]", "weights")),
        (
            ["runtime.logical_cpus=5"],
            (
                *("teacher.train.global_batch_size", "runtime.logical_cpus (5)"),
                *("teacher.train.accumulate (1)", 96, 100),
            ),
        ),
        (
            ["student.train.accumulate=5", "runtime.logical_cpus=2"],
            (
                *("student.train.global_batch_size", "runtime.logical_cpus (2)"),
                *("student.train.accumulate (5)", 96, 100),
            ),
        ),
        (
            ["student.train.optimizer='adamw'"],
            (
                *("student.train.optimizer", "'adamw'", 0.0),
                *("student.train.weight_decay", 0.01, "'adam'"),
            ),
        ),
        (
            [
                "student.train.schedule='step'",
                "student.train.schedule_options.milestones=[0.5, 0.2]",
            ],
            ("student.train.schedule_options.milestones", [0.5, 0.2], [0.2, 0.5]),
        ),
        (
            ["teacher={model='cnn', weights='t.keras', head.global_batch_size=96}"],
            ("teacher.head", "epochs", "steps", "set"),
        ),
        (
            [
                "teacher={model='cnn', weights='t.keras', "
                "head={global_batch_size=96, steps=1}}"
            ],
            ("[teacher.head]", "[teacher.train]", "none", "rename"),
        ),
        (
            [
                "student.train.optimizer='sgd'",
                "student.train.optimizer_options={momentum = 0, nesterov = true}",
            ],
            (
                *("student.train.optimizer_options.nesterov", "momentum", 0.0),
                "nesterov = false",
            ),
        ),
    ],
)
def test_settings_that_do_not_go_together_are_refused(minimal, overrides, facts):
    with refused(ConfigError, *facts):
        load(minimal, overrides)


@pytest.mark.parametrize("options", ["{nesterov = true}", "{momentum = 0}"])
def test_nesterov_and_no_momentum_are_taken_apart(minimal, options):
    sgd = ["student.train.optimizer='sgd'"]
    assert load(minimal, [*sgd, f"student.train.optimizer_options={options}"])


def test_a_teacher_with_weights_needs_no_training(write):
    train = "\n[teacher.train]\nglobal_batch_size = 96\nepochs = 2\n"
    path = write(SECTIONS, (train, 'weights = "a.keras"\n'))
    assert load(path).teacher.train is None


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"name = ", "Invalid value"),
        (b"name = 'a'\nname = 'b'", "Cannot overwrite a value"),
        (b"name = '\xe9t\xe9'", "0xe9"),
        (b"n = " + b"1" * 5000, "4300 digits"),
        (b"n = " + b"[" * 10_000, "recursion"),
    ],
    ids=["no_value", "twice", "latin_1", "long_number", "deep"],
)
def test_a_file_that_is_no_toml_is_refused(tmp_path, content, reason):
    path = tmp_path / "run.toml"
    path.write_bytes(content)
    with refused(ConfigError, path, "TOML", reason):
        load(str(path))


@pytest.mark.parametrize(
    ("name", "reason"), [("absent.toml", errno.ENOENT), (".", errno.EISDIR)]
)
def test_a_missing_file_and_a_directory_are_refused(tmp_path, name, reason):
    path = str(tmp_path / name)
    with refused(ConfigError, "--config", repr(path), os.strerror(reason)):
        load(path)


@pytest.mark.parametrize("override", ["seeds", "=3", "a..b=3", ".a=3", "a.=3", ""])
def test_a_set_that_names_no_value_is_refused(minimal, override):
    hint = "--set=distill.temperature=4.0"
    with refused(ConfigError, f"got {override!r}", hint):
        load(minimal, [override])


@pytest.mark.parametrize("text", ["[1", "True", '"mlp', "mlp\n[student]"])
def test_a_set_whose_value_is_no_toml_is_refused(minimal, text):
    with refused(ConfigError, "--set=student.model", "TOML", f"got {text!r}", "quotes"):
        load(minimal, [f"student.model={text}"])


@pytest.mark.parametrize(
    ("override", "value"),
    [
        ("student.model=conv_mlp", "conv_mlp"),
        ("name=small run", "small run"),
        ("name=2024", "2024"),
        ("name=1e3", "1e3"),
        ("data.test_split=test[:500]", "test[:500]"),
        ("data.dataset=csv:a.csv", "csv:a.csv"),
        ("data.data_dir=", ""),
        ("distill.soft_targets=cached", "cached"),
        ("runtime.eval_every_steps=epoch", "epoch"),
        ("runtime.eval_every_steps=500", 500),
        ("student.options.activation=gelu", "gelu"),
        ("student.train.augment=none", "none"),
    ],
)
def test_a_text_needs_no_quotes_on_the_command_line(minimal, override, value):
    path = override.partition("=")[0]
    assert flatten(resolve(load(minimal, [override])))[path] == value


def test_a_text_needs_no_quotes_whatever_comes_first(minimal):
    options = [
        "student.options.mode=fast",
        "student.options.n=3",
        "student.model=a.b:f",
    ]
    student = load(minimal, options).student
    assert (student.model, student.options) == ("a.b:f", {"mode": "fast", "n": 3})


def test_a_number_that_is_whole_may_be_written_as_a_fraction(minimal):
    steps = load(minimal, ["student.train.steps=1e4"]).student.train.steps
    assert (steps, type(steps)) == (10_000, int)


@pytest.mark.parametrize(
    ("path", "gone"),
    [
        ("teacher.train", "teacher.train"),
        ("student.train.steps", "student.train.steps"),
        ("runtime", "runtime"),  # which the file does not have
    ],
)
def test_what_is_unset_is_as_if_it_were_not_in_the_file(minimal, path, gone):
    settings = read_settings(minimal, [Unset(path)])
    assert not any(name.startswith(gone) for name in flatten(settings))
    assert flatten(settings).items() < flatten(read_settings(minimal)).items() or (
        settings == read_settings(minimal)
    )


def test_what_is_unset_can_be_set_anew(minimal):
    overrides = ["teacher.train.steps=3", "teacher.train.global_batch_size=8"]
    train = load(minimal, [*overrides, Unset("teacher.train")]).teacher.train
    assert (train.steps, train.epochs, train.global_batch_size) == (3, 0.0, 8)


def test_a_setting_that_is_none_cannot_be_unset(minimal):
    with refused(ConfigError, "--unset", "'teacher.trian'", "'teacher.train'"):
        load(minimal, [Unset("teacher.trian")])


def test_resolved_is_strict_json_and_holds_every_setting(minimal):
    run = load(minimal)
    settings = resolve(run)
    assert json.loads(json.dumps(settings, allow_nan=False)) == settings
    assert set(settings) == {field.name for field in dataclasses.fields(run)}
    assert settings["student"]["options"]["hidden_sizes"] == [800, 800]


@pytest.mark.parametrize(
    "override",
    [
        "runtime.xla='off'",
        "runtime.steps_per_loop=25",
        "data.data_dir='/elsewhere'",
        "teacher.weights='b.keras'",
        "student.weights='b.keras'",
    ],
)
def test_a_run_may_move(minimal, override):
    files = ["teacher.weights='a.keras'", "student.weights='a.keras'"]
    before, after = (
        resolve(load(minimal, [*files, *more])) for more in ([], [override])
    )
    assert before != after
    assert differences(before, after) == []


@pytest.mark.parametrize("role", ["teacher", "student"])
def test_starting_from_a_file_or_from_none_are_two_runs(minimal, role):
    before = resolve(load(minimal))
    after = resolve(load(minimal, [f"{role}.weights='a.keras'"]))
    assert differences(before, after) == [f"{role}.weights: '' -> 'a.keras'"]


@pytest.mark.parametrize(
    ("override", "difference"),
    [
        ("seeds=[1]", "seeds: [0] -> [1]"),
        ("distill.alpha=0.5", "distill.alpha: 0.9 -> 0.5"),
        ("data.test_split='test[:9]'", "data.test_split: 'test' -> 'test[:9]'"),
        ("student.train.steps=31", "student.train.steps: 30 -> 31"),
        ("teacher.options.filters=[8]", "teacher.options.filters: [256, 512] -> [8]"),
        ("data.augment='shift'", "data.augment_options.max_pixels: 'absent' -> 2"),
    ],
)
def test_a_run_may_not_change_otherwise(minimal, override, difference):
    before, after = resolve(load(minimal)), resolve(load(minimal, [override]))
    assert difference in differences(before, after)
    assert differences(before, before) == []


def test_importing_the_configuration_is_light():
    # The last three are for messages, sweeps and checkpoints alone.
    heavy = {"tensorflow", "numpy", "keras", "tensorflow_datasets", "pkgutil"}
    heavy |= {"difflib", "decimal", "hashlib"}
    code = (
        "import sys; before = set(sys.modules); import trainer.config; "
        f"assert not {heavy} & (set(sys.modules) - before)"
    )
    assert cpu_secs("-c", code) - cpu_secs("-c", "pass") < 0.3


def test_a_folder_of_images_may_move_but_not_turn_into_another_dataset(minimal):
    size = "data.image_size=32"
    a, b, table = (
        resolve(load(minimal, [f"data.dataset='{name}'", *more]))
        for name, more in (
            ("folder:/a", [size]),
            ("folder:/b", [size]),
            ("csv:/a", []),
        )
    )
    assert differences(a, b) == []
    assert "data.dataset: 'folder:' -> 'csv:'" in differences(a, table)


def test_imagenet_is_no_file_and_files_of_a_folder_may_lie_on_disk_or_in_memory(
    minimal,
):
    folder = ["data.dataset='folder:/a'", "data.image_size=32"]
    a, b, c = (
        resolve(load(minimal, [*folder, "teacher.model='Xception'", *more]))
        for more in (
            ["teacher.weights='imagenet'"],
            ["teacher.weights='a.keras'"],
            ["teacher.weights='a.keras'", "data.memory_budget_bytes=0"],
        )
    )
    assert differences(a, b) == ["teacher.weights: 'imagenet' -> 'a.keras'"]
    assert differences(b, c) == []
