"""Augmentations by a name and as a list."""

import copy

import pytest

from tests.helpers.configs import OF_DATASET
from tests.helpers.messages import refused
from trainer.config import (
    ConfigError,
    CropFlipOptions,
    RandAugmentOptions,
    RandomErasingOptions,
    differences,
    from_resolved,
    load,
    plain_options,
    resolve,
    why_online,
)

LISTED = "['crop_flip', 'rand_augment', 'random_erasing']"
CHAIN = f"student.train.augment={LISTED}"
ERASING = "student.train.augment_options.random_erasing"
FILL = f"{ERASING}.fill"


@pytest.fixture
def loaded(tmp_path):
    """The config of a run with some settings more."""
    path = tmp_path / "run.toml"
    path.write_text(OF_DATASET.format(dataset="mnist_mini"))
    return lambda *overrides: load(str(path), overrides)


def test_a_list_has_the_options_of_each_by_its_name(loaded):
    magnitude = "student.train.augment_options.rand_augment.magnitude=5"
    train = loaded(CHAIN, magnitude, f"{FILL}='noise'").student.train
    assert train.augment == ("crop_flip", "rand_augment", "random_erasing")
    assert train.augment_options == {
        "crop_flip": CropFlipOptions(),
        "rand_augment": RandAugmentOptions(number=2, magnitude=5.0),
        "random_erasing": RandomErasingOptions(fill="noise"),
    }
    assert type(train.augment_options["rand_augment"].magnitude) is float


def test_a_kept_list_is_read_back_and_is_part_of_the_identity(loaded):
    run = loaded(CHAIN, f"{FILL}=9")
    kept = resolve(run)
    assert kept["student"]["train"]["augment_options"]["random_erasing"]["fill"] == 9
    assert from_resolved(kept, [], kept_in="config.json") == run
    assert differences(kept, resolve(loaded(CHAIN))) == [f"{FILL}: 9 -> 0"]
    one = resolve(loaded("student.train.augment='crop_flip'"))
    moved = f"student.train.augment: {LISTED} -> 'crop_flip'"
    assert moved in differences(kept, one)


def test_a_single_name_is_kept_as_before_there_were_lists(loaded):
    train = resolve(loaded("student.train.augment='crop_flip'"))["student"]["train"]
    assert train["augment"] == "crop_flip"
    assert train["augment_options"] == {"padding": 4, "flip": True}


def test_options_are_plain_by_names():
    options = {"crop_flip": CropFlipOptions(), "rand_augment": RandAugmentOptions()}
    assert plain_options(options, setting="data.augment_options") == {
        "crop_flip": {"padding": 4, "flip": True},
        "rand_augment": {"number": 2, "magnitude": 9.0, "fill": 0},
    }


def test_a_list_is_why_soft_targets_are_online(loaded):
    facts = ("student.train.augment", LISTED)
    assert all(fact in why_online(loaded(CHAIN)) for fact in facts)


@pytest.mark.parametrize("section", ["data", "student.train"])
@pytest.mark.parametrize(
    ("augment", "facts"),
    [
        ([], ("one augmentation or more", "[]")),
        (["shift", "shift"], ("once", ["shift", "shift"])),
        (["rand_augment", "shift"], ("first place", "crop_flip", "'shift'")),
        (["crop_flip", "inception_crop"], ("at most one", "'inception_crop'")),
        (["none", "rand_augment"], ("'none'", "alone")),
        (["none"], ("'none'", "alone")),
    ],
)
def test_lists_of_which_one_is_in_vain_are_refused(loaded, section, augment, facts):
    with refused(ConfigError, f"{section}.augment", *facts):
        loaded(f"{section}.augment={augment}")


@pytest.mark.parametrize(
    ("overrides", "facts"),
    [
        (["student.train.augment=['inherit', 'shift']"], ("'inherit'", "alone")),
        (["student.train.augment=['shift', 'rand']"], ("'rand'", "'rand_augment'?")),
        (["student.train.augment=[3]"], ("student.train.augment[0]", "string", 3)),
        (["student.train.augment=3"], ("student.train.augment", "string", 3)),
        (
            [CHAIN, "student.train.augment_options.padding=3"],
            (
                "student.train.augment_options.padding",
                "crop_flip, rand_augment, random_erasing",
            ),
        ),
        (
            [CHAIN, "student.train.augment_options.crop_flip.magnitude=3"],
            (
                "student.train.augment_options.crop_flip.magnitude",
                "'crop_flip'",
                "flip, padding",
            ),
        ),
        (
            [CHAIN, "student.train.augment_options.rand_augment=3"],
            ("student.train.augment_options.rand_augment", "section", 3),
        ),
        (
            [CHAIN, "student.train.augment_options.rand_augment.magnitude=11"],
            ("student.train.augment_options.rand_augment.magnitude", 0, 10, 11),
        ),
        ([CHAIN, f"{FILL}='noisy'"], (FILL, 0, 255, "'noise'", "'noisy'")),
        ([CHAIN, f"{FILL}=256"], (FILL, 0, 255, 256)),
        ([CHAIN, f"{FILL}=true"], (FILL, "'noise'", True)),
        (
            [CHAIN, "student.train.augment_options.random_erasing.max_area=0.01"],
            (f"{ERASING}.max_area", f"{ERASING}.min_area", 0.02, 0.01),
        ),
        (
            [CHAIN, "data.dataset='csv:a'"],
            ("student.train.augment", "'none'", "'csv:a'", LISTED),
        ),
    ],
)
def test_what_a_list_cannot_be_is_refused(loaded, overrides, facts):
    with refused(ConfigError, *facts):
        loaded(*overrides)


def test_a_study_may_compare_lists(tmp_path):
    path = tmp_path / "run.toml"
    grid = (
        "\n[study.grid]\n'student.train.augment' = "
        "['none', ['crop_flip'], ['crop_flip', 'rand_augment']]\n"
    )
    path.write_text(OF_DATASET.format(dataset="mnist_mini") + grid)
    variants = load(str(path)).study.variants
    assert list(variants) == [
        "augment=none",
        "augment=crop_flip",
        "augment=crop_flip-rand_augment",
    ]
    cell = load(str(path), variant=variants["augment=crop_flip-rand_augment"])
    assert cell.student.train.augment == ("crop_flip", "rand_augment")


@pytest.mark.parametrize(
    "augment", ["'inception_crop'", "['inception_crop', 'random_erasing']"]
)
def test_a_run_that_began_before_crops_had_a_choice_averages(loaded, augment):
    options = "student.train.augment_options"
    options += ".inception_crop" if "[" in augment else ""
    chosen = f"student.train.augment={augment}"
    now = resolve(loaded(chosen))
    before = copy.deepcopy(now)
    kept = before["student"]["train"]["augment_options"]
    del kept.get("inception_crop", kept)["antialias"]
    assert differences(before, now) == []
    assert from_resolved(before, [], kept_in="config.json") == loaded(chosen)
    plain = resolve(loaded(chosen, f"{options}.antialias=false"))
    assert differences(before, plain) == [f"{options}.antialias: True -> False"]
    named = loaded(chosen).student.train.augment_options
    told = plain_options(named, setting=options.removesuffix(".inception_crop"))
    assert "antialias" not in str(told)
