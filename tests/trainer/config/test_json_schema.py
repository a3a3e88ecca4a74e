"""The schema for editors says what the reader says of each setting by itself."""

import copy
import json
import tomllib

import jsonschema
import pytest

from tests.helpers import configs
from tests.helpers.repository import REPOSITORY
from trainer import commands
from trainer.config import Config
from trainer.config.build import Builder
from trainer.config.fields import walk
from trainer.config.json_schema import json_schema

FILE = REPOSITORY / "configs" / "settings.schema.json"
SHIPPED = sorted((REPOSITORY / "configs").glob("*.toml"))

SCHEMA = json_schema()
VALIDATOR = jsonschema.Draft7Validator(SCHEMA)

# What the configs of the repository do not have.
OTHERS = {
    "member_of_runs": """
teacher.members = [
    {weights = "run:a"}, {model = "cnn", seeds = [1, 2], train.global_batch_size = 8}
]
""",
    "run": 'teacher = {weights = "run:a", min_accuracy = 0.5}',
    "saved": """
teacher = {model = "saved", options = {path = "a.keras", input = "zero_to_one"}}
""",
    "own": """
data = {dataset = "a.b:f", options = {n = 3, k = {x = [1.5, "a"]}}}
student = {model = "a.b:f", options.n = [true], train.global_batch_size = 8}
distill.terms = [{loss = "a.b:f", options.n = 3}]
""",
    "records": """
data = {dataset = "tfrecord:a-*", options.encoding = "raw", options.shape = [3]}
""",
    "several": """
data.dataset = "mnist"
data.augment = ["shift", "random_erasing"]
data.augment_options = {shift.max_pixels = 3, random_erasing.fill = "noise"}
data.background = [0, 10, 255]
data.unlabeled.dataset = "folder:a"
finetune = {optimizer = "sgd", optimizer_options.nesterov = true, global_batch_size = 8}
""",
    "sweep": """
sweep.pruner = "bandit"
sweep.pruner_options.slack_factor = 0.2
sweep.space."distill.alpha" = {low = 0, high = 1, step = 0.1}
sweep.space.student.options.hidden_sizes = [[3], [4, 4]]
watch = {}
crossval.folds = 3
""",
    "study": """
study.grid.student.options.hidden_sizes = [[3], [4, 4]]
study.grid."distill.alpha" = [0, 1]
runtime = {eval_every_steps = "epoch", log_every_steps = 7}
""",
    "networks": """
teacher.members = [
    {model = "resnet_cifar", options = {depth = 8, widths = [4, 4, 4, 4]}},
    {model = "shufflenet_v1", options.widths = [36, 48, 60], weights = "b"},
    {model = "shufflenet_v2", options.widths = [2, 4, 6, 7], weights = "c"},
    {model = "hub:a", weights = "own", class_map = {a = "b", c.d = ""}},
    {model = "MobileNet", options.alpha = 0.5, weights = "imagenet"},
]
""",
    "imported": """
distill = {soft_targets = "imported", soft_targets_dir = "a", class_map.cat = "b"}
tracking = {tracker = "mlflow", options = {uri = "sqlite:///a.db", register_as = "b"}}
""",
    "tracked": """
tracking = {tracker = "a.b:f", options.n = 3}
student = {model = "vgg_cifar", options.depth = 13, train.global_batch_size = 8}
""",
    "layers": f"distill = {configs.WITH_LAYERS.format(group_size=4)}",
}
# Values of which each type takes some; settings have those of each row in turn.
MUTANTS = (
    ("x", "", "auto", "none"),
    (0, 3, 3.0, True, 0.5),
    (-1, 10**20, 1e300),
    ([], ["x"], [3], [0.5, 2], [[3]], [True], [{"x": 1}]),
    ({}, {"x": 1}),
)


def is_taken(settings: dict) -> bool:
    """Whether the reader finds each setting usable by itself."""
    builder = Builder(Config, settings)
    builder.build()
    return not builder.problems


def with_other(text: str) -> dict:
    settings = tomllib.loads(configs.RUN)
    return settings | tomllib.loads(text)


SETTINGS = {
    **{path.stem: tomllib.loads(path.read_text()) for path in SHIPPED},
    **{name: with_other(text) for name, text in OTHERS.items()},
}


def test_the_schema_is_one_of_its_draft():
    jsonschema.Draft7Validator.check_schema(SCHEMA)


def test_the_committed_schema_is_what_the_command_prints(capsys):
    assert commands.run(["trainer", "config", "--schema"]) == 0
    assert FILE.read_text() == capsys.readouterr().out
    assert json.loads(FILE.read_text()) == SCHEMA


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_each_config_names_the_schema_that_lies_beside_it(path):
    assert path.read_text().splitlines()[0] == f"#:schema ./{FILE.name}"


@pytest.mark.parametrize("name", SETTINGS)
def test_schema_and_reader_take_each_config(name):
    assert is_taken(SETTINGS[name])
    VALIDATOR.validate(SETTINGS[name])


def places_of(settings: dict) -> dict[tuple, tuple[str, ...]]:
    """The paths of settings, each by what it is a setting of."""
    found = {}
    for path, field in walk(Config, settings):
        names = tuple(path.replace("[", ".[").split("."))
        found[field.name, id(field)] = names
    return found


def put(settings: dict, names: tuple[str, ...], value: object) -> dict | None:
    """The settings with another value; None where sections on the way are none."""
    changed = copy.deepcopy(settings)
    table = changed
    for name in names[:-1]:
        if name.startswith("["):
            table = table[int(name[1:-1])]
        elif isinstance(table, dict):
            table = table.setdefault(name, {})
        if not isinstance(table, dict | list):
            return None
    if not isinstance(table, dict):
        return None
    table[names[-1]] = value
    return changed


def mutants(settings: dict, seen: set):
    """The settings with one of them changed, or one that is none added."""
    for key, names in places_of(settings).items():
        if key in seen or names[-1].startswith("["):
            continue
        seen.add(key)
        for row in MUTANTS[len(seen) % 2 :: 2]:
            value = row[len(seen) % len(row)]
            if (changed := put(settings, names, value)) is not None:
                yield (*names, repr(value)), changed
        if (changed := put(settings, (*names[:-1], "other"), 1)) is not None:
            yield (*names[:-1], "other"), changed


def without_one(settings: dict, table: object, seen: set, names: tuple = ()):
    """The settings without one of them, each in turn."""
    inner = table.items() if isinstance(table, dict) else ()
    for name, value in inner:
        yield from without_one(settings, value, seen, (*names, name))
        if (*names, name) in seen:
            continue
        seen.add((*names, name))
        changed = copy.deepcopy(settings)
        owner = changed
        for each in names:
            owner = owner[each]
        del owner[name]
        yield (*names, name), changed


def section_validators() -> dict[str, jsonschema.Draft7Validator]:
    """Of each section by itself, because a whole file takes many times as long."""
    return {
        name: VALIDATOR.evolve(schema=schema)
        for name, schema in SCHEMA["properties"].items()
    }


@pytest.mark.slow
def test_schema_and_reader_refuse_the_same():
    """Each setting is changed and left out, in a config that has it."""
    validators, seen, differences = section_validators(), set(), []
    counts = {True: 0, False: 0}
    for name, settings in SETTINGS.items():
        changes = [*mutants(settings, seen), *without_one(settings, settings, seen)]
        for names, changed in changes:
            top = names[0]
            if top in validators and top in changed:
                is_valid = validators[top].is_valid(changed[top])
            else:
                is_valid = VALIDATOR.is_valid(changed)
            counts[is_valid] += 1
            if is_valid != is_taken(changed):
                differences.append((name, ".".join(names), is_valid))
    assert not differences, differences[:20]
    assert min(counts.values()) > 100
