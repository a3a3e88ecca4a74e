"""The pairs of the CIFAR tables: each trains by all losses of its config at once."""

import dataclasses
import math
import tomllib

import numpy as np
import pytest
import tensorflow_datasets as tfds

from tests.helpers import tfds_sets, whole_run
from tests.helpers.devices import strategy_of
from tests.helpers.repository import REPOSITORY
from trainer import config
from trainer.config import (
    ResnetCifarOptions,
    ShufflenetV2Options,
    VggCifarOptions,
    WideResnetOptions,
)
from trainer.config.toml_text import value_text
from trainer.stages.student import student as learn
from trainer.stages.teacher import teacher as teach
from trainer.train.events import read_metrics

NUM_IMAGES = 100
# The second "kl" is of standardised logits.
LOSSES = (
    *("kl", "kl[1]", "dkd", "dist", "hint", "attention", "rkd", "contrastive"),
    "hard_loss",
)

# Narrow and shallow networks of the kinds that the configs name: teacher, student.
SMALL = {
    "cifar100_resnet32x4_resnet8x4": (
        ResnetCifarOptions(depth=14, widths=(4, 6, 8, 12)),
        ResnetCifarOptions(depth=8, widths=(4, 6, 8, 12)),
    ),
    "cifar100_resnet32x4_shufflenet_v2": (
        ResnetCifarOptions(depth=8, widths=(4, 6, 8, 12)),
        ShufflenetV2Options(widths=(8, 12, 16, 20)),
    ),
    "cifar100_vgg13_vgg8": (
        VggCifarOptions(depth=13, widths=(4, 4, 6, 8, 8)),
        VggCifarOptions(depth=8, widths=(4, 4, 6, 8, 8)),
    ),
    "cifar100_wrn_40_2_wrn_16_2": (
        WideResnetOptions(depth=16, width=1),
        WideResnetOptions(depth=10, width=1),
    ),
}


class Cifar100(tfds.image_classification.Cifar100, skip_registration=True):
    """Noise in the form of the set, a class for each image."""

    def _split_generators(self, dl_manager):
        del dl_manager  # nothing to download
        return {name: self._generate_examples(name) for name in ("train", "test")}

    def _generate_examples(self, name):
        rng = np.random.default_rng(len(name))
        for i in range(NUM_IMAGES):
            image = rng.integers(0, 256, (32, 32, 3), dtype=np.uint8)
            yield i, {"id": f"{i}", "image": image, "label": i, "coarse_label": i // 5}


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory):
    folder = tmp_path_factory.mktemp("cifar")
    assert tfds_sets.prepare(Cifar100, folder) == "cifar100"
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("name", SMALL)
def test_a_pair_trains_an_epoch_by_all_losses(name, data_dir, tmp_path):
    path = REPOSITORY / "configs" / f"{name}.toml"
    cells = config.load(str(path)).study.variants.values()
    terms = [term for cell in cells for term in cell["distill"]["terms"]]
    teacher, student = map(dataclasses.asdict, SMALL[name])
    values = {
        "seeds": [0],
        "data.data_dir": str(data_dir),
        "teacher.options": teacher,
        "teacher.train.epochs": 1,
        "student.options": student,
        "student.train.epochs": 1,
        "distill": {
            "soft_targets": "online",
            "group_size": 64,
            # Theirs are longer than this training.
            "terms": [{**term, "warmup_epochs": 0} for term in terms],
        },
        "runtime.log_every_steps": 1,
        "runtime.steps_per_loop": 1,
    }
    sets = [f"{key}={value_text(value)}" for key, value in values.items()]
    settings = config.load(str(path), sets)
    session = whole_run.session(settings, tmp_path, strategy_of(1))
    teach(session)
    learn(session)
    [*_, line] = read_metrics(tmp_path / "student" / "seed-0" / "metrics.jsonl")
    losses = {key: value for key, value in line.items() if key.startswith("train/")}
    assert {f"train/{name}" for name in LOSSES} <= set(losses)
    assert all(math.isfinite(value) for value in losses.values())


def test_pairs_of_one_kind_differ_in_their_networks_and_one_weight():
    """Which is why one of them is enough above."""
    found = []
    for name in ("resnet32x4_resnet8x4", "resnet56_resnet20", "resnet110_resnet32"):
        text = (REPOSITORY / "configs" / f"cifar100_{name}.toml").read_text()
        settings = tomllib.loads(text)
        del settings["name"], settings["teacher"]["options"]
        del settings["student"]["options"]
        [dkd] = settings["study"]["grid"]["distill"][1]["terms"]
        del dkd["options"]["other_weight"]
        found.append(settings)
    assert found[0] == found[1] == found[2]
