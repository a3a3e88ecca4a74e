"""Mistakes that people make, and what they are told: each names the right way out."""

import dataclasses
import pathlib

import pytest

from tests.helpers.configs import SECTIONS
from tests.helpers.messages import assert_states
from trainer.config import ConfigError, Unset, errors, load


@dataclasses.dataclass(frozen=True)
class Mistake:
    """Flags that are typed, or a line of the file that is replaced; what is told."""

    typed: str | tuple[str, ...]
    told: tuple[object, ...]
    line: str = ""  # of the file

    @property
    def overrides(self) -> list[str]:
        if self.line:
            return []
        return [self.typed] if isinstance(self.typed, str) else list(self.typed)

    @property
    def subject(self) -> str:
        """The section that it is of."""
        return self.overrides[-1].partition("=")[0] if self.overrides else ""


SGD = "student.train.optimizer=sgd"
NAMES = [
    # Other tools' names.
    Mistake("student.train.lr=0.1", ("student.train.lr", "'learning_rate'?")),
    Mistake("student.train.batch_size=8", ("'global_batch_size'?",)),
    Mistake("distill.T=4", ("distill.T", "'temperature'?")),
    Mistake("runtime.fp16=true", ("runtime.fp16", "'precision'?")),
    Mistake(
        "student.train.warmup=10", ("student.train.schedule_options.warmup_steps?",)
    ),
    # The right name in another section.
    Mistake("student.hidden_sizes=[3]", ("student.options.hidden_sizes?",)),
    Mistake("temperature=4", ("temperature", "distill.temperature?")),
    Mistake("data.epochs=3", ("student.train.epochs", "teacher.train.epochs")),
    Mistake("seed=3", ("'seeds'?",)),
    Mistake("teacher.seeds=[1, 2]", ("teacher.members", "seeds")),
    # An option of another model or optimizer.
    Mistake(
        "student.train.optimizer_options.momentum=0.9",
        ("optimizer 'adam'", "'sgd'", "beta_1"),
    ),
    Mistake("student.options.filters=[8]", ("model 'mlp'", "'cnn'", "'conv_mlp'")),
    Mistake("student.train.class_weight=balanced", ("data.class_weights?",)),
    Mistake("student.train.monitor=auc", ("'select_by'?",)),
    Mistake("evaluate.select_by=auc", ("student.train.select_by",)),
    # What is no setting.
    Mistake("workdir=runs/a", ("workdir", "--workdir=DIR")),
    Mistake("student.num_classes=10", ("student.num_classes", "data", "leave it out")),
    Mistake("runtime.resume=true", ("--workdir", "goes on")),
    # Typing errors, capitals and dashes.
    Mistake("studnet.model=mlp", ("studnet", "'student'?")),
    Mistake("distill.soft-targets=cached", ("'soft_targets'?",)),
    Mistake("student.model=MLP", ("student.model", "'MLP'", "'mlp'?")),
    Mistake("student.model=resnet50", ("'ResNet50'?",)),
    Mistake(SGD.replace("sgd", "Adam"), ("'Adam'", "'adam'?", "adamw")),
    Mistake("distill.terms=[{loss = 'KL'}]", ("distill.terms[0].loss", "'kl'?")),
]
VALUES = [
    # Names of metrics elsewhere.
    Mistake("student.train.select_by=f1", ("student.train.select_by=macro_f1",)),
    Mistake("student.train.select_by=eval/nll", ("student.train.select_by=nll",)),
    # TOML's other words.
    Mistake(
        (SGD, "student.train.optimizer_options.nesterov=True"),
        ("--set=student.train.optimizer_options.nesterov=true",),
    ),
    Mistake("teacher.train=None", ("'None'", "--unset=teacher.train")),
    Mistake("data.data_dir=null", ("'null'", "--unset=data.data_dir")),
    # Numbers as people write them.
    Mistake("student.train.steps='500'", ("'500'", "--set=student.train.steps=500")),
    Mistake("student.options.dropout=50", (0, 1, "--set=student.options.dropout=0.5")),
    Mistake("distill.alpha=90%", ("'90%'", "--set=distill.alpha=0.9")),
    Mistake("student.train.learning_rate=0,01", ("'0,01'", 0.01)),
    Mistake("student.train.steps=10,000", ("'10,000'", 10000)),
    Mistake("student.train.steps=10k", ("'10k'", 10000)),
    Mistake("student.train.clip_norm=.5", ("'.5'", 0.5)),
    Mistake("data.image_size=[224, 224]", ([224, 224], "--set=data.image_size=224")),
    Mistake("student.train.ema=1-1e-3", ("'1-1e-3'", "write the number")),
    # Lists.
    Mistake("seeds=3", ("list", "--set='seeds=[3]'")),
    Mistake("student.options.hidden_sizes=(8, 8)", ("'(8, 8)'", "[8, 8]")),
    Mistake(
        "student.train.augment=[shift, rand_augment]", ('["shift", "rand_augment"]',)
    ),
    Mistake("data.feature_columns=age,height", ('["age", "height"]',)),
    # Words for a choice.
    Mistake(
        "runtime.precision=fp16", ("'fp16'", "--set=runtime.precision=mixed_float16")
    ),
    Mistake("runtime.xla=True", ("'True'", "--set=runtime.xla=on")),
    Mistake("distill.soft_targets=cache", ("--set=distill.soft_targets=cached",)),
    Mistake("runtime.eval_every_steps=epochs", ("'epochs'", "'epoch'")),
    # Data that are there under another name.
    Mistake("data.dataset=./photos", ("'./photos'", "'folder:./photos'")),
    Mistake("data.dataset=./points.csv", ("'csv:./points.csv'",)),
    Mistake("data.dataset=./tables", ("'csv:./tables'",)),
    Mistake("data.dataset=gone/points.npz", ("'npz:gone/points.npz'",)),
    Mistake("data.validation_split=0.1", ("'0.1'", "'train[90%:]'")),
    Mistake("data.train_split=80%", ("'80%'", "'train[:80%]'")),
    # Flags.
    Mistake("distill.temperature 4", ("--set=distill.temperature=4.0",)),
    Mistake("student.train.steps.5=1", ("student.train.steps", "section")),
]
FILES = [
    Mistake("steps = True", ("line 18", "true"), line="steps = 30"),
    Mistake("steps = None", ("line 18", "leave the setting out"), line="steps = 30"),
    Mistake("steps = .5", ("line 18", 0.5), line="steps = 30"),
    Mistake("steps = 10,000", ("line 18", "10_000"), line="steps = 30"),
    Mistake("steps: 30", ("line 18", "steps = 30"), line="steps = 30"),
    Mistake("steps = 30 // few", ("line 18", "#"), line="steps = 30"),
    Mistake("steps = 2 * 15", ("line 18", "the number"), line="steps = 30"),
    Mistake("steps = 30\nsteps = 40", ("line 19", "remove one"), line="steps = 30"),
    Mistake("model = mlp", ("line 14", 'model = "mlp"'), line='model = "mlp"'),
    Mistake("name = “small”", ("line 1", "straight"), line='name = "small"'),
    Mistake(
        'dataset = "csv:C:\\data\\a.csv"',
        ("line 4", "single quotes"),
        line='dataset = "mnist_mini"',
    ),
    Mistake(
        'optimizer_options = {"momentum": 0.9}',
        ("line 18", "{name = value}"),
        line="steps = 30",
    ),
    Mistake(
        'name = "small"\nseeds = ["0"]',
        ("seeds[0]", "whole number", "'0'"),
        line='name = "small"',
    ),
    Mistake("[teacher.trian]", ("teacher.trian", "'train'?"), line="[teacher.train]"),
    Mistake("[[student.train]]", ("[student.train]",), line="[student.train]"),
    Mistake(
        "steps = 30\nepochs = 2", ("epochs = 2.0", "remove one"), line="steps = 30"
    ),
]
MISTAKES = [*NAMES, *VALUES, *FILES]


@pytest.fixture(autouse=True)
def data(tmp_path, monkeypatch) -> pathlib.Path:
    """A working directory with a folder of images, and tables."""
    monkeypatch.chdir(tmp_path)
    for name in ("photos/cat/a.jpg", "tables/train.csv", "points.csv"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return tmp_path


def told_of(folder: pathlib.Path, *mistakes: Mistake) -> ConfigError:
    text = SECTIONS
    for mistake in mistakes:
        assert mistake.line in text
        if mistake.line:
            text = text.replace(mistake.line, str(mistake.typed))
    file = folder / "run.toml"
    file.write_text(text, encoding="utf-8")
    overrides = [override for each in mistakes for override in each.overrides]
    with pytest.raises(ConfigError) as caught:
        load(str(file), overrides)
    return caught.value


def test_there_are_more_than_forty():
    assert len({mistake.typed for mistake in MISTAKES}) == len(MISTAKES) > 60


@pytest.mark.parametrize("mistake", MISTAKES, ids=lambda mistake: str(mistake.typed))
def test_a_mistake_is_told_with_the_way_out(data, mistake):
    error = told_of(data, mistake)
    assert_states(str(error), *mistake.told)
    assert len(error.problems) == 1, error
    # Where it is.
    place = f"--set={mistake.overrides[-1]}" if mistake.overrides else "run.toml"
    assert place in str(error) or "--set=" in str(error)
    assert len(str(error)) < 1000


def are_apart(one: Mistake, other: Mistake) -> bool:
    """Whether two mistakes are of settings that have nothing to do with each other."""
    sections = [mistake.subject.split(".")[:2] for mistake in (one, other)]
    return bool(one.subject and other.subject) and sections[0] != sections[1]


def test_mistakes_of_several_settings_are_told_at_once(data):
    told = 0
    for step in (1, 5, 11):
        for one, other in zip(MISTAKES, MISTAKES[step:], strict=False):
            if are_apart(one, other):
                error = told_of(data, one, other)
                assert_states(str(error), *one.told, *other.told)
                told += 1
    assert told > 60


def test_many_mistakes_are_told_in_a_screen(data):
    flags = [f"student.train.x{i}=1" for i in range(100)]
    error = told_of(data, Mistake(tuple(flags), ()))
    assert len(error.problems) == 100
    lines = str(error).splitlines()
    assert_states(lines[0], 100)
    assert_states(lines[-1], 80)
    assert len(lines) == 22


def test_a_file_that_begins_with_a_mark_of_its_encoding_is_read(data):
    (data / "run.toml").write_text(SECTIONS, encoding="utf-8-sig")
    assert load("run.toml").name == "small"


def test_what_the_file_says_wrong_is_told_beside_what_flags_say(data):
    wrong = Mistake("steps = -30", (), line="steps = 30")
    error = told_of(data, wrong, Mistake("distill.alpha=2", ()))
    file, flag = sorted(error.problems, reverse=True)
    assert file.startswith(f"{data}/run.toml: student.train.steps ")
    assert flag.startswith("--set=distill.alpha=2: distill.alpha ")


def test_a_relation_names_the_file_and_the_flags_that_it_is_of(data):
    error = told_of(data, Mistake(("runtime.logical_cpus=5", "distill.alpha=0.5"), ()))
    for problem, path in zip(error.problems, ("teacher", "student"), strict=True):
        start = f"{data}/run.toml with --set=runtime.logical_cpus=5: {path}.train."
        assert problem.startswith(start)


def test_what_a_wrong_setting_brings_about_is_not_told(data):
    error = told_of(data, Mistake("student.train.steps=many", ()))
    [problem] = error.problems
    assert_states(problem, "student.train.steps", "'many'")


def test_relations_of_other_settings_are_told_beside_a_wrong_one(data):
    flags = ("student.train.steps=many", "runtime.logical_cpus=5", "distill.views=2")
    error = told_of(data, Mistake(flags, ()))
    for path in ("student.train.steps", "teacher.train", "distill.views"):
        assert any(path in problem for problem in error.problems)


def test_every_way_to_unset_is_named_by_its_flag(data):
    (data / "run.toml").write_text(SECTIONS, encoding="utf-8")
    overrides = [Unset("teacher.train"), "student.train.steps=x"]
    with pytest.raises(ConfigError) as caught:
        load("run.toml", overrides)
    first, second = sorted(caught.value.problems)
    assert first.startswith("--set=student.train.steps ")
    assert second.startswith("run.toml with --unset=teacher.train: teacher ")


@pytest.mark.parametrize(
    ("typed", "known", "meant"),
    [
        ("nothere", ["huber", "none", "kl"], None),
        ("ls", ["kl", "dkd"], None),
        ("hubber", ["huber", "none"], "huber"),
        ("sdg", ["adam", "sgd"], "sgd"),
        ("vgg", ["mlp", "vgg_cifar"], "vgg_cifar"),
        ("mse_loss", ["huber", "mse"], "mse"),
        ("HUBER", ["huber"], "huber"),
    ],
)
def test_a_name_is_offered_where_it_is_near(typed, known, meant):
    told = errors.suggestion(typed, known)
    assert told == (f"did you mean {meant!r}? " if meant else "")
