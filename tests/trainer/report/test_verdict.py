"""The verdict on a run: the sentence, the seeds that would settle it, and the way."""

import itertools
import math
import shlex

import pytest
from etils import epath

from tests.helpers.messages import assert_states
from tests.helpers.results import many_seeds, one_seed
from trainer.report import amounts, more_seeds, students_t, verdict
from trainer.report.run_cards import cards, gap_closed


def with_gain(mean, standard_error, num_seeds=5):
    results = many_seeds()
    for model in results["models"].values():
        model["seeds"] = model["seeds"][:num_seeds]
    gain = {"mean": mean, "standard_error": standard_error}
    results["gain"]["errors"] = gain | {"per_seed": [mean] * num_seeds}
    return results


def test_points_of_students_t_are_those_of_the_tables():
    # Abramowitz and Stegun, table 26.10.
    known = {1: 12.706, 4: 2.776, 10: 2.228, 11: 2.201, 15: 2.131, 30: 2.042, 60: 2.000}
    found = {degrees: students_t.t_95(degrees) for degrees in known}
    assert found == pytest.approx(known, abs=6e-4)
    assert all(students_t.t_95(n) > students_t.t_95(n + 1) for n in range(1, 60))


def test_interval_of_the_gain_uses_students_t():
    # 4 degrees of freedom: 2.776 standard errors on either side.
    gain = {"per_seed": [0.0] * 5, "mean": 14.2, "standard_error": 1.9}
    assert amounts.gain_interval(gain) == pytest.approx((8.93, 19.47), abs=0.01)
    few = {"per_seed": [0.0] * 2, "mean": 14.2, "standard_error": 1.9}
    assert amounts.gain_interval(few) == pytest.approx((-9.94, 38.34), abs=0.01)


@pytest.mark.parametrize(
    ("mean", "facts"),
    [
        (14.2, ["better", "14.2 +- 1.9 errors of 2,000", "5 seeds", "8.9 to 19.5"]),
        (4.0, ["better", "cannot be told from noise yet", "more seeds would"]),
        (0.0, ["0.0 +- 1.9", "cannot be told from noise", "30 seeds"]),
        (-4.0, ["worse", "4.0 +- 1.9 errors", "cannot"]),
        (-14.2, ["worse", "more than noise", "95%", "-19.5 to -8.9"]),
    ],
)
def test_it_is_honest_about_sign_and_noise(mean, facts):
    results = with_gain(mean, 1.9)
    assert_states(verdict.verdict(results), *facts)
    assert verdict.line(results).isascii()


@pytest.mark.parametrize(
    ("mean", "standard_error", "num_seeds", "more"),
    [
        # By hand, of 22.7 +- 6.6 over 3: 4.303 * 6.6 = 28.4 > 22.7, and over 4 seeds
        # 3.182 * 6.6 * sqrt(3 / 4) = 18.2 < 22.7.
        (22.7, 6.6, 3, "one more seed"),
        # 12.706 * 6 = 76.2; 4.303 * 6 * sqrt(2 / 3) = 21.1; 3.182 * 6 * sqrt(2 / 4)
        # = 13.5; 2.776 * 6 * sqrt(2 / 5) = 10.5; the mean is 12.
        (12.0, 6.0, 2, "three more seeds"),
    ],
)
def test_more_seeds_are_counted_by_the_interval(mean, standard_error, num_seeds, more):
    results = with_gain(mean, standard_error, num_seeds)
    assert_states(verdict.verdict(results), more)
    seeds = list(range(num_seeds + {"one": 1, "three": 3}[more.split()[0]]))
    assert verdict.enough_seeds(results) == seeds
    path = epath.Path("my runs/photos")
    way = more_seeds.way(results, path)
    assert shlex.split(way) == [
        *("python", "-m", "trainer", "run", "--workdir=my runs/photos"),
        f"--set=seeds={seeds}",
    ]
    assert verdict.line(results, way).endswith(f": {way}")


def test_as_many_seeds_are_enough_and_one_less_is_not():
    for mean, deviation in itertools.product((1.0, 5.0, -9.0), (2.0, 8.0, 20.0)):
        count = students_t.needed(mean, deviation)
        if count is None:
            assert students_t.t_95(29) * deviation / 30**0.5 >= abs(mean)
            continue
        half = students_t.t_95(count - 1) * deviation / math.sqrt(count)
        assert half < abs(mean)
        if count > 2:
            before = students_t.t_95(count - 2) * deviation / math.sqrt(count - 1)
            assert before >= abs(mean)


def test_one_seed_and_none():
    assert_states(verdict.line(one_seed()), "one seed", "noise")
    assert verdict.enough_seeds(one_seed()) == [0, 1, 2]
    results = many_seeds()
    del results["models"]["baseline"]
    assert verdict.verdict(results) == verdict.UNMEASURED
    assert more_seeds.way(results, epath.Path("run")) == ""


def test_seeds_that_are_added_are_no_seeds_yet():
    results = with_gain(22.7, 6.6, 3)
    for seed, number in zip(
        results["models"]["student"]["seeds"], (1, 0, 7), strict=True
    ):
        seed["seed"] = number
    assert verdict.enough_seeds(results) == [1, 0, 7, 2]


def test_a_program_calls_again_with_more_seeds(tmp_path):
    path = epath.Path(tmp_path)
    (tmp_path / "config.json").write_text('{"student": {"model": "memory"}}')
    assert "trainer run" not in more_seeds.way(one_seed(), path)
    assert_states(more_seeds.way(one_seed(), path), "seeds=range(3)")
    results = one_seed()
    results["models"]["student"]["seeds"][0]["seed"] = 5
    assert_states(more_seeds.way(results, path), "seeds=[5, 0, 1]")
    (tmp_path / "config.json").write_text('{"student": {"model": "own:network"}}')
    assert_states(more_seeds.way(one_seed(), path), "trainer run", f"--workdir={path}")


def test_cards_hold_the_numbers_of_the_results():
    results = many_seeds()
    times = {"teacher": {"1": 3.0, "256": 0.5}, "student": {"1": 0.5, "256": 0.25}}
    for role, found in times.items():
        results["models"][role]["inference_ms_per_example"] = found
    # (97.4 - 83.2) / (97.4 - 26) = 0.1989.
    assert gap_closed(results) == pytest.approx(0.1989, abs=1e-4)
    found = {
        card.title: f"{card.number} {card.unit} {card.note}" for card in cards(results)
    }
    facts = [
        ("95.84", "95.13", "98.70"),
        ("14.2", "2,000", "8.9 to 19.5"),
        ("20 %", "71.4 errors"),
        ("16.3", "101,770", "1,663,370"),
        ("6 times", "0.5 ms", "3 ms", "2 times at batch 256"),
    ]
    for text, known in zip(found.values(), facts, strict=True):
        assert_states(text, *known)
    results["models"]["teacher"]["mean"]["errors"] = 98.0
    assert gap_closed(results) is None
    assert len(cards(results)) == 4


def test_the_first_card_is_of_the_metric_that_selects():
    results = many_seeds() | {"select_by": "auc"}
    for role, auc in (("teacher", 0.99), ("student", 0.9312), ("baseline", 0.9)):
        results["models"][role]["mean"] |= {"auc": auc, "balanced_accuracy": auc / 2}
    results["models"]["student"]["std"]["auc"] = 0.0125
    first, second, *_ = cards(results)
    assert_states(f"{first.title} {first.number}", "AUC", "0.9312")
    assert_states(f"{first.unit}; {first.note}", "+- 0.0125", "0.9000", "0.9900")
    assert_states(second.title, "Accuracy")
    weighted = results | {"select_by": "accuracy", "class_weights": {"a": 1.0}}
    assert [card.number for card in cards(weighted)[:2]] == ["95.84", "46.56"]
