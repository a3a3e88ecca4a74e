"""What a configuration file may say, and what its reader answers when it may not."""

import dataclasses
import json

import pytest

from tests.helpers.cpu_time import cpu_secs
from tests.helpers.repository import REPOSITORY
from trainer import config
from trainer.config import ConfigError, differences, load, resolve

MINIMAL = """\
name = "small"

[data]
dataset = "mnist_mini"

[teacher]
model = "cnn"

[teacher.train]
global_batch_size = 96
epochs = 2

[student]
model = "mlp"

[student.train]
global_batch_size = 96
steps = 30
"""


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
    return write(MINIMAL)


def refusal(path, *overrides):
    """The message that refuses the file."""
    with pytest.raises(ConfigError) as caught:
        load(path, overrides)
    return str(caught.value)


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
        MINIMAL,
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
    path = write(MINIMAL, ('"mlp"', '"a.b:f"\noptions = {epochs = 3}'))
    options = load(path, ["student.options.steps=7"]).student.options
    assert options == {"epochs": 3, "steps": 7}


@pytest.mark.parametrize(
    ("lengths", "way_out"),
    [
        ("epochs = 2\nsteps = 3", "remove one"),
        ("", "set one"),
        ("steps = 0", "set one"),
    ],
)
def test_exactly_one_length_is_asked_for(write, lengths, way_out):
    message = refusal(write(MINIMAL, ("epochs = 2", lengths)))
    assert "teacher.train must have exactly one of epochs and steps" in message
    assert way_out in message


@pytest.mark.parametrize(
    ("setting", "value", "rule", "got"),
    [
        ("name", "3", "a string", "3"),
        ("name", "''", "other than empty", "''"),
        ("data.dataset", "{a = 1}", "a string", "{'a': 1}"),
        ("data.image_size", "-1", "between 0 and 16384", "-1"),
        ("teacher.seed", "'3'", "a whole number", "'3'"),
        ("teacher.seed", "3.0", "a whole number", "3.0"),
        ("teacher.seed", "true", "a whole number", "True"),
        ("teacher.seed", "2147483648", "between 0 and 2147483647", "2147483648"),
        ("student.model", "3", "a string", "3"),
        ("student.options.dropout", "1", "at least 0 and below 1", "1"),
        (
            "student.train.learning_rate",
            "2020-01-01",
            "a finite number",
            "datetime.date",
        ),
        ("distill.alpha", "true", "a finite number", "True"),
        ("distill.alpha", "1.5", "between 0 and 1", "1.5"),
        ("distill.alpha", "nan", "a finite number", "nan"),
        ("distill.temperature", "inf", "a finite number", "inf"),
        ("distill.temperature", "0", "between 0.001 and 1000000.0", "0"),
        ("distill.temperature", "1" + "0" * 400, "a finite number", "1000"),
        ("teacher.seed", "1" + "0" * 400, "a whole number of 64 bits", "1000"),
        ("teacher.seed", "0x1" + "0" * 9999, "a whole number of 64 bits", "a number"),
        ("data.data_dir", '"a\\u0000"', "text without the character NUL", "'a"),
        ("runtime.xla", "'yes'", "one of 'auto', 'on', 'off'", "'yes'"),
        ("runtime.xla", "true", "one of 'auto', 'on', 'off'", "True"),
        ("seeds", "3", "a list", "3"),
        ("seeds", "[]", "other than empty", "[]"),
    ],
)
def test_a_bad_value_is_refused(minimal, setting, value, rule, got):
    message = refusal(minimal, f"{setting}={value}")
    assert f"{minimal}: {setting} must be {rule}, got {got}" in message
    assert message.endswith(f"; change it in the file or with --set={setting}=VALUE")


def test_a_bad_value_in_the_file_is_refused_alike(write):
    path = write(MINIMAL, ("steps = 30", "steps = -30"))
    assert refusal(path) == (
        f"{path}: student.train.steps must be between 0 and 1000000000, got -30; "
        "change it in the file or with --set=student.train.steps=VALUE"
    )


def test_whole_numbers_are_no_booleans(minimal):
    sgd = "{optimizer = 'sgd', optimizer_options.nesterov = 1, global_batch_size = 8}"
    message = refusal(minimal, f"student.train={sgd}")
    assert (
        "student.train.optimizer_options.nesterov must be true or false, got 1"
        in message
    )


def test_a_bad_item_is_named_and_its_list_can_be_set(minimal):
    message = refusal(minimal, "seeds=[0, -1]")
    assert "seeds[1] must be between 0 and 2147483647, got -1; " in message
    assert message.endswith("--set=seeds=VALUE")


@pytest.mark.parametrize(
    ("override", "refused", "way_out"),
    [
        ("studnet.model='mlp'", "studnet is not a setting", "did you mean 'student'?"),
        (
            "student.modle='mlp'",
            "student.modle is not a setting",
            "did you mean 'model'?",
        ),
        ("data.zzz=1", "data.zzz is not a setting", "known: augment, augment_options,"),
        (
            "student.model='mpl'",
            "student.model must be a known name or package.module:function, got 'mpl'",
            "did you mean 'mlp'? known: ConvNeXtBase, ",
        ),
        (
            "student.train.optimizer='adm'",
            "student.train.optimizer must be a known name, got 'adm'",
            "did you mean 'adam'? known: adam, adamw, sgd",
        ),
        (
            "student.train.schedule='cosin'",
            "student.train.schedule must be a known name, got 'cosin'",
            "did you mean 'cosine'? known: constant, cosine",
        ),
        (
            "data.augment='shfit'",
            "data.augment must be a known name, got 'shfit'",
            "did you mean 'shift'? known: crop_flip, inception_crop, none, shift",
        ),
    ],
)
def test_an_unknown_name_is_refused_with_the_known_ones(
    minimal, override, refused, way_out
):
    message = refusal(minimal, override)
    assert f"{minimal}: {refused}; " in message
    assert way_out in message


@pytest.mark.parametrize(
    ("section", "option", "owner", "known"),
    [
        ("student.options", "filters", "model 'mlp'", "activation, dropout, hidden_"),
        ("student.train.optimizer_options", "momentum", "optimizer 'adam'", "beta_1, "),
        ("student.train.schedule_options", "rate", "schedule 'constant'", "warmup_"),
        ("data.augment_options", "max_pixels", "augment 'none'", "none; remove it"),
    ],
)
def test_an_option_of_another_name_is_refused(minimal, section, option, owner, known):
    message = refusal(minimal, f"{section}.{option}=1")
    assert f"{minimal}: {section}.{option} is not a setting of {owner}; " in message
    assert f"known: {known}" in message


@pytest.mark.parametrize(
    ("override", "refused", "way_out"),
    [
        ("distill=3", "distill must be a section, got 3", "--set=distill."),
        ("distill=[{}]", "distill must be a section, got [{}]", "--set=distill."),
        (
            "teacher.train=3",
            "teacher.train must be a section, got 3",
            "[teacher.train]",
        ),
        (
            "student.options=3",
            "student.options must be a section, got 3",
            "[student.opt",
        ),
        ("name.first='a'", "name must be a section", "--set=name=VALUE"),
        ("data.dataset.a.b=1", "data.dataset must be a section", "--set=data.dataset="),
    ],
)
def test_values_and_sections_are_told_apart(minimal, override, refused, way_out):
    message = refusal(minimal, override)
    assert refused in message
    assert way_out in message


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
    message = refusal(write(MINIMAL, (text, "")))
    assert f": {setting} is missing" in message
    assert f"--set={setting}=" in message


@pytest.mark.parametrize(
    ("value", "got"),
    [
        ("2020-01-01", "datetime.date(2020, 1, 1)"),
        ("[[nan]]", "nan"),
        ("{a=inf}", "inf"),
    ],
)
def test_a_users_own_options_must_be_what_config_json_can_hold(minimal, value, got):
    message = refusal(minimal, "student.model='a.b:f'", f"student.options.x={value}")
    assert ": student.options.x" in message
    assert f"got {got}; change it" in message


@pytest.mark.parametrize(
    ("overrides", "refused", "way_out"),
    [
        (
            ["seeds=[0, 1, 0]"],
            "seeds must name each value once, got [0, 1, 0]",
            "[0, 1]",
        ),
        (
            ["data.exclude_labels=[3, 3]"],
            "data.exclude_labels must name each value once, got [3, 3]",
            "[3]",
        ),
        (
            ["data.validation_split='test'"],
            "data.test_split must differ from data.validation_split, got 'test'",
            "'train[:90%]' and 'train[90%:]'",
        ),
        (
            ["data.train_split='train'", "data.validation_split='train'"],
            "data.validation_split must differ from data.train_split, got 'train'",
            "'train[:90%]' and 'train[90%:]'",
        ),
        (
            ["distill.mixup=0.5"],
            "distill.mixup needs distill.alpha = 1, because mixed images have no label",
            "got 0.9; set distill.alpha = 1.0, or distill.mixup = 0",
        ),
        (
            ["distill={mixup = 1, alpha = 1, soft_targets = 'cached'}"],
            "distill.mixup needs distill.soft_targets = 'online'",
            "got 'cached'; set it, or distill.mixup = 0",
        ),
        (
            ["teacher={model = 'cnn'}"],
            "teacher must have a [teacher.train] section or weights",
            "neither",
        ),
        (
            ["runtime.logical_cpus=5"],
            "global_batch_size must be a multiple of runtime.logical_cpus (5) times ",
            "nearest above: 100",
        ),
        (
            ["student.train.accumulate=5", "runtime.logical_cpus=2"],
            "(2) times student.train.accumulate (5), got 96",
            "nearest above: 100",
        ),
        (
            ["student.train.optimizer='adamw'"],
            "student.train.optimizer 'adamw' needs a weight_decay above 0, got 0.0",
            "for example to 0.01, or use 'adam'",
        ),
        (
            [
                "student.train.schedule='step'",
                "student.train.schedule_options.milestones=[0.5, 0.2]",
            ],
            "milestones must ascend, got [0.5, 0.2]",
            "for example [0.2, 0.5]",
        ),
        (
            ["teacher={model='cnn', weights='t.keras', head.global_batch_size=96}"],
            "teacher.head must have exactly one of epochs and steps",
            "set one",
        ),
        (
            [
                "teacher={model='cnn', weights='t.keras', "
                "head={global_batch_size=96, steps=1}}"
            ],
            "[teacher.head] must be followed by a [teacher.train] section, got none",
            "rename it to [teacher.train]",
        ),
        (
            [
                "student.train.optimizer='sgd'",
                "student.train.optimizer_options={momentum = 0, nesterov = true}",
            ],
            "train.optimizer_options.nesterov needs a momentum above 0, got 0.0",
            "set momentum, or nesterov = false",
        ),
    ],
)
def test_settings_that_do_not_go_together_are_refused(
    minimal, overrides, refused, way_out
):
    message = refusal(minimal, *overrides)
    assert refused in message
    assert way_out in message


@pytest.mark.parametrize(
    ("cadence", "steps", "unit", "unit_steps", "above"),
    [
        ("steps_per_loop", 50, "steps_per_execution", 32, 64),
        ("log_every_steps", 70, "steps_per_loop", 50, 100),
        ("eval_every_steps", 70, "log_every_steps", 50, 100),
        ("eval_every_steps", 150, "log_every_steps", 100, 200),
        ("save_every_steps", 250, "log_every_steps", 100, 300),
    ],
)
def test_a_cadence_must_be_a_multiple(minimal, cadence, steps, unit, unit_steps, above):
    overrides = [f"runtime.{unit}={unit_steps}", f"runtime.{cadence}={steps}"]
    assert refusal(minimal, *overrides) == (
        f"{minimal}: runtime.{cadence} must be a multiple of runtime.{unit} "
        f"({unit_steps}), got {steps}; nearest above: {above}"
    )


@pytest.mark.parametrize("options", ["{nesterov = true}", "{momentum = 0}"])
def test_nesterov_and_no_momentum_are_taken_apart(minimal, options):
    sgd = ["student.train.optimizer='sgd'"]
    assert load(minimal, [*sgd, f"student.train.optimizer_options={options}"])


def test_cadences_that_go_together_are_taken(minimal):
    overrides = ["steps_per_loop=20", "log_every_steps=40", "save_every_steps=80"]
    overrides += ["eval_every_steps=120"]
    assert load(minimal, [f"runtime.{override}" for override in overrides])


def test_a_teacher_with_weights_needs_no_training(write):
    train = "\n[teacher.train]\nglobal_batch_size = 96\nepochs = 2\n"
    path = write(MINIMAL, (train, 'weights = "a.keras"\n'))
    assert load(path).teacher.train is None


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"name = ", "Invalid value"),
        (b"name = 'a'\nname = 'b'", "Cannot overwrite a value (at end of"),
        (b"name = '\xe9t\xe9'", "'utf-8' codec can't decode byte 0xe9"),
        (b"n = " + b"1" * 5000, "4300 digits"),
        (b"n = " + b"[" * 10_000, "recursion"),
    ],
    ids=["no_value", "twice", "latin_1", "long_number", "deep"],
)
def test_a_file_that_is_no_toml_is_refused(tmp_path, content, reason):
    path = tmp_path / "run.toml"
    path.write_bytes(content)
    message = refusal(str(path))
    assert message.startswith(f"{path} must be a TOML file")
    assert reason in message


def test_a_missing_file_is_refused(tmp_path):
    path = str(tmp_path / "absent.toml")
    assert refusal(path) == (
        f"--config must name a readable TOML file, got {path!r}: "
        "No such file or directory"
    )


def test_a_directory_is_refused(tmp_path):
    path = str(tmp_path)
    assert f"TOML file, got {path!r}: Is a directory" in refusal(path)


@pytest.mark.parametrize("override", ["seeds", "=3", "a..b=3", ".a=3", "a.=3", ""])
def test_a_set_that_names_no_value_is_refused(minimal, override):
    assert refusal(minimal, override) == (
        f"--set must read section.field=value, got {override!r}; "
        "for example --set=distill.temperature=4.0"
    )


@pytest.mark.parametrize("text", ["mlp", "", "1 2", "[1", "True", "1\n[student]"])
def test_a_set_whose_value_is_no_toml_is_refused(minimal, text):
    message = refusal(minimal, f"student.model={text}")
    assert f"--set=student.model must have a TOML value, got {text!r}; " in message
    assert f"--set='student.model=\"{text}\"'" in message


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
    assert differences(before, after) == [f"{role}.weights: False -> True"]


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
    heavy = "{'tensorflow', 'numpy', 'keras', 'tensorflow_datasets'}"
    code = f"import sys, trainer.config; assert not {heavy} & set(sys.modules)"
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
    assert differences(a, b) == ["teacher.weights: 'imagenet' -> True"]
    assert differences(b, c) == []
