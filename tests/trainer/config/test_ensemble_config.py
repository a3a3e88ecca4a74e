"""What a file may say of an ensemble, and what its reader answers when it may not."""

import pytest

from tests.helpers.messages import assert_states, refused
from trainer import config
from trainer.config import ConfigError, differences, identity, load, resolve

ENSEMBLE = """\
name = "three"

[data]
dataset = "mnist_mini"

[[teacher.members]]
model = "cnn"
seed = 1
[teacher.members.train]
global_batch_size = 96
epochs = 2

[[teacher.members]]
model = "cnn"
seed = 2
weight = 3
[teacher.members.head]
global_batch_size = 48
steps = 7
[teacher.members.train]
global_batch_size = 96
epochs = 2

[[teacher.members]]
model = "mlp"
options.hidden_sizes = [5]
weights = "there.keras"

[student]
model = "mlp"

[student.train]
global_batch_size = 96
steps = 30
"""


@pytest.fixture
def write(tmp_path):
    """Writes a TOML file with parts replaced, and gives its path."""

    def write(*replacements):
        text = ENSEMBLE
        for old, new in replacements:
            assert old in text
            text = text.replace(old, new)
        path = tmp_path / "run.toml"
        path.write_text(text, encoding="utf-8")
        return str(path)

    return write


def test_members_are_networks_with_a_weight(write):
    run = load(write())
    assert list(run.teachers) == [f"teacher.members[{i}]" for i in range(3)]
    first, second, third = run.teachers.values()
    assert [m.weight for m in (first, second, third)] == [1.0, 3.0, 1.0]
    assert (first.seed, second.seed, second.head.steps) == (1, 2, 7)
    assert third.options == config.MlpOptions(hidden_sizes=(5,))
    assert list(run.trainings) == [
        "teacher.members[0].train",
        "teacher.members[1].head",
        "teacher.members[1].train",
        "student.train",
    ]


def test_one_teacher_is_a_section_as_before(write):
    path = write()
    run = load(path, ["teacher={model='cnn', weights='there.keras'}"])
    assert type(run.teacher) is config.TeacherConfig
    assert run.teachers == {"teacher": run.teacher}
    assert list(run.trainings) == ["student.train"]


def test_the_command_line_sets_the_whole_list(write):
    members = (
        "teacher.members=[{model='cnn', weights='a.keras'}, "
        "{model='cnn', weights='b.keras', weight=0.5}]"
    )
    run = load(write(), [members])
    assert [m.weights for m in run.teacher.members] == ["a.keras", "b.keras"]
    assert run.teacher.weights == (1.0, 0.5)


@pytest.mark.parametrize(
    ("replacement", "facts"),
    [
        (
            ('model = "mlp"\noptions', 'modl = "mlp"\noptions'),
            ("teacher.members[2].modl", "'model'?"),
        ),
        (
            ('model = "mlp"\noptions', "options"),
            ("teacher.members[2].model", "missing", "--set=teacher.members=VALUE"),
        ),
        (
            ("weight = 3", "weight = 0"),
            (
                *("teacher.members[1].weight", 1e-30, 1e30, 0),
                "--set=teacher.members=VALUE",
            ),
        ),
        (
            ('weights = "there.keras"', "train = 3"),
            (
                *("teacher.members[2].train", "section", 3),
                *("[teacher.members.train]", "--set=teacher.members=VALUE"),
            ),
        ),
        (
            ("there.keras", "imagenet"),
            (
                *("teacher.members[2].weights = 'imagenet'", "keras.applications"),
                "teacher.members[2].model = 'mlp'",
            ),
        ),
        (
            ('weights = "there.keras"', ""),
            ("teacher.members[2]", "[teacher.members.train]", "weights"),
        ),
        (
            ("[teacher.members.train]\nglobal_batch_size = 96\nepochs = 2\n\n[[", "[["),
            ("teacher.members[0]", "[teacher.members.train]", "weights"),
        ),
        (
            ("steps = 7", "steps = 7\nepochs = 1"),
            ("teacher.members[1].head", "epochs = 1.0", "steps = 7"),
        ),
    ],
)
def test_a_setting_of_a_member_is_named(write, replacement, facts):
    with refused(ConfigError, *facts):
        load(write(replacement))


def test_a_member_cannot_move_the_pixels_of_a_table(write):
    path = write(("steps = 7", 'steps = 7\naugment = "shift"'))
    facts = ("teacher.members[1].head.augment", "'none'", "'csv:a.csv'", "'shift'")
    with refused(ConfigError, *facts):
        load(path, ["data.dataset='csv:a.csv'"])


@pytest.mark.parametrize(
    ("override", "facts"),
    [
        (
            "teacher.members=[1, 2]",
            (
                *("teacher.members[0]", "section", "got 1"),
                *("[[teacher.members]]", "--set=teacher.members=VALUE"),
            ),
        ),
        (
            "teacher.members=[{model='cnn', weights='a.keras'}]",
            ("teacher.members", "two", 1, "[teacher]"),
        ),
        ("teacher.members=[]", ("teacher.members", "two", 0, "[teacher]")),
        (
            "teacher.seed=3",
            ("[[teacher.members]]", "teacher.members", "teacher.seed"),
        ),
        ("teacher.wait=3", ("teacher.wait", "known: members")),
    ],
)
def test_what_is_no_ensemble_is_refused(write, override, facts):
    with refused(ConfigError, *facts):
        load(write(), [override])


BLOCK = "model='cnn', train={global_batch_size=96, steps=5}"


def test_seeds_stand_for_as_many_networks(write):
    short = load(write(), [f"teacher.members=[{{{BLOCK}, weight=2, seeds=[3, 1, 4]}}]"])
    listed = ", ".join(f"{{{BLOCK}, weight=2, seed={seed}}}" for seed in (3, 1, 4))
    long = load(write(), [f"teacher.members=[{listed}]"])
    assert [member.seed for member in short.teacher.members] == [3, 1, 4]
    assert short == long
    assert resolve(short) == resolve(long)
    # A run goes on, however its config is written.
    assert config.run_name(short, "student", 0) == config.run_name(long, "student", 0)


def test_seeds_of_one_block_may_stand_beside_other_networks(write):
    run = load(
        write(), ["teacher.members[0].seeds=[5, 6]", "teacher.members[0].seed=0"]
    )
    members = [(member.model, member.seed) for member in run.teacher.members]
    assert members == [("cnn", 5), ("cnn", 6), ("cnn", 2), ("mlp", 0)]


@pytest.mark.parametrize(
    ("seeds", "facts"),
    [
        ("seed=7, seeds=[1, 2]", ("teacher.members", "seed = 7", "seeds = [1, 2]")),
        ("seeds=[1]", ("teacher.members", "two", 1)),
        ("seeds=[1, 1]", ("teacher.members[1]", "teacher.members[0]", "twice")),
        ("seeds=3", ("teacher.members[0].seeds", "list", 3)),
    ],
)
def test_seeds_that_make_no_ensemble_are_refused(write, seeds, facts):
    with refused(ConfigError, *facts):
        load(write(), [f"teacher.members=[{{{BLOCK}, {seeds}}}]"])


def test_what_is_wrong_in_all_networks_of_a_block_is_told_once(write):
    block = BLOCK.replace("steps=5", "steps=5, epochs=1")
    with pytest.raises(ConfigError) as caught:
        load(write(), [f"teacher.members=[{{{block}, seeds=[1, 2, 3]}}]"])
    [told] = caught.value.problems
    facts = ("teacher.members[0].train", "teacher.members[1]", "teacher.members[2]")
    assert_states(told, *facts, "epochs = 1.0", "steps = 5")


TRAINED = "{model='cnn', seed=1, train={global_batch_size=96, steps=5}}"
TWICE = ("teacher.members[1]", "teacher.members[0]", "twice")
FINAL = "{model='cnn', seed=1, weights='a.keras'}"


@pytest.mark.parametrize(
    ("member", "old", "new", "hint"),
    [
        (TRAINED, "seed=1", "seed=2", "another seed"),
        (FINAL, "'a.keras'", "'b.keras'", "other weights"),
    ],
)
def test_one_network_twice_is_refused(write, member, old, new, hint):
    twin = member.replace("model=", "weight=3, model=")
    with refused(ConfigError, *TWICE, hint):
        load(write(), [f"teacher.members=[{member}, {twin}]"])
    load(write(), [f"teacher.members=[{member}, {twin.replace(old, new)}]"])


def test_a_seed_alone_makes_no_other_network_of_given_weights(write):
    twin = FINAL.replace("seed=1", "seed=2")
    with refused(ConfigError, *TWICE, "other weights"):
        load(write(), [f"teacher.members=[{FINAL}, {twin}]"])


def test_weights_of_a_member_may_move_and_its_other_settings_may_not(write):
    before = resolve(load(write()))
    assert len(before["teacher"]["members"]) == 3
    assert differences(before, resolve(load(write(("there", "moved"))))) == []
    after = resolve(load(write(("weight = 3", "weight = 4"), ("seed = 1", "seed = 7"))))
    assert differences(before, after) == [
        "teacher.members[0].seed: 1 -> 7",
        "teacher.members[1].weight: 3.0 -> 4.0",
    ]


def test_a_saved_member_may_move(write):
    saved = 'model = "saved"\noptions = {{path = "{}", input = "zero_to_one"}}\n'
    old = 'model = "mlp"\noptions.hidden_sizes = [5]\nweights = "there.keras"\n'
    before, after = (
        resolve(load(write((old, saved.format(path))))) for path in ("a.keras", "b")
    )
    assert differences(before, after) == []
    assert identity(before)["teacher.members[2].options.input"] == "zero_to_one"
