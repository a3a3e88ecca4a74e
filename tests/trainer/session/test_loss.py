"""The loss is checked against data and devices before anything trains."""

import numpy as np
import pytest
import tensorflow as tf

from tests.helpers import point_study, whole_run
from tests.helpers.cached_runs import session
from tests.helpers.devices import strategy_of
from tests.helpers.messages import assert_states, refusal, refused
from trainer import config, stages
from trainer.config import ConfigError
from trainer.session.features import connections
from trainer.session.loss import check_groups, check_loss

OF_EXAMPLES = f"{__name__}:centered_in_the_batch"


def centered_in_the_batch(student_logits, teacher_logits):
    """A loss of an example that changes with the others beside it."""
    apart = tf.reduce_sum((student_logits - teacher_logits) ** 2, axis=1)
    return apart - tf.reduce_mean(apart)


@pytest.fixture
def in_or_out(tmp_path):
    """A function from terms to a run whose data have two classes."""
    file = point_study.write_config(tmp_path)
    text = file.read_text()
    file.write_text(text[: text.index("[study.grid]")])

    def opened(*terms: str):
        given = config.load(str(file), [of_terms(*terms)])
        return whole_run.session(given, tmp_path / "workdir", strategy_of(1))

    return opened


def of_terms(*terms: str) -> str:
    return f"distill={{terms=[{', '.join('{' + term + '}' for term in terms)}]}}"


@pytest.mark.parametrize(
    ("term", "what"),
    [
        ("loss='dist'", "'dist'"),
        ("loss='kl', standardize=true", "'standardize'"),
        ("loss='logit_mse', standardize=true", "'standardize'"),
    ],
)
def test_what_is_constant_for_two_classes_is_refused(in_or_out, term, what):
    run = in_or_out("loss='kl'", term)
    with refused(ConfigError, "distill.terms[1]", what, 3, 2):
        check_loss(run.datasets)


@pytest.mark.parametrize("loss", ["dkd", "nkd"])
def test_a_part_that_is_0_for_two_classes_is_told(in_or_out, capsys, loss):
    check_loss(in_or_out("loss='wsl'", f"loss='{loss}'").datasets)
    assert_states(capsys.readouterr().err, "distill.terms[1]", f"'{loss}'", "second")


def test_nothing_is_told_of_more_classes(world, tmp_path, capsys):
    run = session(world, tmp_path, of_terms("loss='dkd'", "loss='dist'"))
    capsys.readouterr()
    check_loss(run.datasets)
    assert capsys.readouterr().err == ""


def test_replicas_see_whole_groups(world, tmp_path):
    settings = (
        "student.train.global_batch_size=24",
        "distill={terms=[{loss='dist'}], group_size=8}",
    )
    for num_replicas, fits in ((1, True), (2, False)):
        run = session(
            world, tmp_path / str(num_replicas), *settings, num_replicas=num_replicas
        )
        if fits:
            check_groups(run.config, run.devices, has_begun=False)
            continue
        facts = ("student.train.global_batch_size", 24, "distill.group_size", 8, 2)
        # A share of 12 can be cut into groups of 4, 6 and 12; 8 need 1 replica or 3.
        with refused(ConfigError, *facts, "4, 6, 12", "1, 3 replicas"):
            check_groups(run.config, run.devices, has_begun=False)
        text = refusal(
            lambda run=run: check_groups(run.config, run.devices, has_begun=True),
            ConfigError,
        )
        assert_states(text, *facts, "1, 3 replicas")
        assert "4, 6" not in text


@pytest.mark.parametrize(
    ("terms", "facts"),
    [
        (
            [f"loss='{OF_EXAMPLES}'"],
            ["distill.terms[0].loss", f"'{OF_EXAMPLES}'", "group_size"],
        ),
        (
            ["loss='kl'", "loss='kl', warmup_steps=20"],
            ["distill.terms[1].warmup_steps", 20, "20 steps"],
        ),
        (
            ["loss='kl', warmup_epochs=2.5"],
            ["distill.terms[0].warmup_epochs", 2.5, 20],
        ),
        (["loss='no.such:loss'"], ["distill.terms[0].loss", "'no.such:loss'"]),
        (
            ["loss='kl'", "loss='hint', student_layer='hidden', teacher_layer='a'"],
            ["distill.terms[1].student_layer", "'hidden'", "'hidden_1'"],
        ),
        (
            ["loss='hint', student_layer='embedding', teacher_layer='hidden_2'"],
            ["distill.terms[0].teacher_layer", "'hidden_2'", "'hidden_1'"],
        ),
        (
            ["loss='attention', student_layer='hidden_1', teacher_layer='embedding'"],
            ["distill.terms[0]", "'attention'", "'hidden_1'", 4, 32],
        ),
    ],
)
def test_a_run_refuses_its_loss_before_the_teacher_trains(in_or_out, terms, facts):
    run = in_or_out(*terms)
    with refused(ConfigError, *facts):
        stages.run(run, whole=True)
    assert not (run.path / "teacher").exists()


def test_adapters_start_from_the_student_s_seed_and_their_term(in_or_out):
    hint = "loss='hint', student_layer='hidden_1', teacher_layer='embedding'"
    run = in_or_out(hint, "loss='kl'", hint)
    networks = run.networks
    student, teacher = networks.build("student", 0), networks.build("teacher", 0)

    def kernels(seed: int):
        found = connections(networks, student, [teacher], seed=seed)
        assert [connection is None for connection in found] == [False, True, False]
        return [found[i].adapters[0].weights[0].numpy() for i in (0, 2)]

    first, again, other = kernels(0), kernels(0), kernels(1)
    for ours, same, changed in zip(first, again, other, strict=True):
        np.testing.assert_array_equal(ours, same)
        assert np.abs(ours - changed).max() > 0.1
    assert np.abs(first[0] - first[1]).max() > 0.1
