"""What tells one cache of soft targets from another, and what none tells of."""

import dataclasses
import shutil

import pytest
from etils import epath

from tests.helpers import small_models, whole_run
from tests.helpers.messages import assert_a_line_states, assert_states, refused
from trainer import main, soft_targets
from trainer.config import MlpOptions
from trainer.soft_targets import Manifest, SoftTargetsError, shards_of


def manifest(augment: dict[str, object]) -> Manifest:
    return Manifest(
        teacher={"model": "mlp"},
        dataset={"split": "train"},
        growth=({"num_ids": 3, "fingerprint": "0f"},),
        precision="float32",
        class_names=("0", "1"),
        augment=augment,
        views=1,
        dtype="float32",
        top_k=0,
        temperatures=(),
        shards=shards_of([True] * 3),
    )


def test_the_kind_of_augmentation_is_named_before_its_options():
    plain = manifest({"name": "none"})
    shifted = manifest({"name": "shift", "seed": 0, "max_pixels": 2})
    for found, wanted in ((plain, shifted), (shifted, plain)):
        with refused(SoftTargetsError, "augment.name"):
            soft_targets.check(epath.Path("cache"), found, wanted)
    other = dataclasses.replace(shifted, augment=shifted.augment | {"seed": 4})
    with refused(SoftTargetsError, "augment.seed", "4 there", "0 here"):
        soft_targets.check(epath.Path("cache"), other, shifted)


def test_a_cache_with_another_order_of_classes_is_told_so():
    wanted = dataclasses.replace(manifest({}), class_names=("1", "2", "10"))
    found = dataclasses.replace(wanted, class_names=("1", "10", "2"))
    facts = ("['1', '10', '2'] there", "['1', '2', '10'] here", "another order")
    with refused(SoftTargetsError, "class_names", *facts):
        soft_targets.check(epath.Path("cache"), found, wanted)


@pytest.fixture
def config(tmp_path, tfds_dir):
    """A cached run whose teacher comes from a file."""
    teacher = small_models.build(
        "mlp", MlpOptions(hidden_sizes=(4,)), image_shape=small_models.MNIST_SHAPE
    )
    teacher.save(tmp_path / "teacher.keras")
    path = whole_run.write_config(tmp_path, tfds_dir)
    text = path.read_text()
    trained = text[text.index("[teacher]") : text.index("[student]")]
    given = f"""[distill]
soft_targets = "cached"

[teacher]
model = "mlp"
options.hidden_sizes = [4]
weights = "{tmp_path}/teacher.keras"
min_accuracy = 0.0

"""
    path.write_text(text.replace(trained, given))
    return path


@pytest.mark.slow
def test_shards_without_a_manifest_may_be_another_teachers(config, tmp_path, capsys):
    def build() -> int:
        return main.main(whole_run.command("soft-targets", config, workdir, "build"))

    workdir = tmp_path / "workdir"
    assert main.main(whole_run.command("teacher", config, workdir)) == 0
    assert build() == 0
    cache = workdir / "soft_targets" / "train"
    (cache / "manifest.json").unlink()
    kept = sorted(cache.rglob("*.tfrecord"))
    capsys.readouterr()
    assert build() == 2
    assert_states(capsys.readouterr().err, cache, "manifest", f"{len(kept)} shards")
    assert sorted(cache.rglob("*.tfrecord")) == kept
    assert not (cache / "manifest.json").exists()
    shutil.rmtree(cache)
    assert build() == 0


@pytest.mark.slow
def test_a_cache_tells_of_itself_where_the_dataset_is_gone(config, tmp_path, capsys):
    def act(action: str, *more: str) -> int:
        return main.main(
            whole_run.command("soft-targets", config, workdir, action, *more)
        )

    workdir = tmp_path / "workdir"
    assert main.main(whole_run.command("teacher", config, workdir)) == 0
    assert act("build") == 0
    gone = "--set=data.dataset='folder:/nowhere'"
    shown = (gone, "--set=data.image_size=28")
    shutil.rmtree(workdir / "teacher")
    assert act("verify", *shown) == 2
    capsys.readouterr()
    assert act("info", *shown) == 0
    assert_a_line_states(
        capsys.readouterr().out, workdir / "soft_targets/train", "complete"
    )
