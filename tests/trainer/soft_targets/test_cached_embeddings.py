"""Students that learn from a teacher's embedding on disk, against the teacher itself.

In float32 on a CPU without XLA both are equal bit for bit, else to rounding.
"""

import dataclasses
import json
import shutil

import keras
import numpy as np
import pytest
import tensorflow as tf
from etils import epath

from tests.helpers import whole_run
from tests.helpers.cached_runs import (
    CACHED,
    SHIFTED,
    STREAMED,
    assert_same_trainings,
    batches,
    cached_session,
    session,
    taught,
    trained,
)
from tests.helpers.devices import strategy_of
from tests.helpers.messages import assert_states, refused
from trainer import config, soft_targets, stages
from trainer.config import ConfigError
from trainer.exit_codes import CheckFailedError
from trainer.session import Session, train_state
from trainer.soft_targets import SoftTargetsError
from trainer.stages.check import check
from trainer.stages.soft_targets import build, verify

KEPT = (CACHED, "distill.cache_embedding=true")
HALF = "distill.cache_embedding_dtype='float16'"

LAYERS = "student_layer='embedding', teacher_layer='embedding'"
WITHOUT_LOGITS = (
    *("loss='hint'", "loss='hint', options={batch_norm=true}", "loss='similarity'"),
    *("loss='rkd', weight=0.1", "loss='pkt'", "loss='contrastive'", "loss='cosine'"),
    "loss='vid', weight=0.1",
)
EVERY = (*WITHOUT_LOGITS, "loss='srrl'")


def of_terms(*terms: str, more: str = "") -> str:
    between = [f"{{{term}, {LAYERS}}}" for term in terms]
    listed = ", ".join([*between, *([more] if more else [])])
    return f"distill={{hard_weight=0.5, group_size=5, terms=[{listed}]}}"


KL = "{loss='kl', weight=0.5}"
# Two epochs of examples of two shards.
RUN = (
    *("data.train_split='train[2000:2200]'", "student.train.steps=20"),
    *("runtime.steps_per_loop=4", "runtime.log_every_steps=4"),
    *("runtime.eval_every_steps=20", "runtime.save_every_steps=20"),
)
# What the version before embeddings gave.
EARLIER_MARK = 2929314389
EARLIER_NAMES = {
    *("augment", "checksum", "class_names", "dataset", "dtype", "growth", "mark"),
    *("precision", "shards", "teacher", "temperatures", "top_k", "version", "views"),
}
VIEWS = (SHIFTED, "distill.views=2")


@pytest.fixture(scope="module")
def shifted(world) -> str:
    """The setting of caches of two views of the images."""
    cached_session(world, world / "embedded", *KEPT, *VIEWS)
    return f"distill.soft_targets_dir='{world}/embedded/soft_targets'"


@pytest.fixture(scope="module")
def plain(world) -> Session:
    """A run with a cache of the images as they are."""
    return cached_session(world, world / "plain embedding", *KEPT)


@pytest.fixture(scope="module")
def without(world) -> Session:
    """The same, whose cache has no embedding."""
    return cached_session(world, world / "without embedding")


def place(opened: Session) -> str:
    """The setting of the caches of a run."""
    return f"distill.soft_targets_dir='{opened.path}/soft_targets'"


@pytest.fixture
def copied(world, plain, tmp_path) -> Session:
    """A run whose cache may be damaged."""
    shutil.copytree(plain.path / "soft_targets", tmp_path / "soft_targets")
    return session(world, tmp_path, *KEPT)


def adapters(opened: Session) -> dict[str, np.ndarray]:
    """What the last checkpoint holds: student, adapters and optimizer."""
    folder = opened.networks.folder("student", opened.config.seeds[0]) / "checkpoints"
    (path,) = folder.glob("step-*.npz")
    with np.load(path) as held:
        return {name: held[name] for name in held.files if name != "header"}


# Cached is online.


@pytest.mark.slow
@pytest.mark.parametrize(
    ("terms", "settings", "num_replicas"),
    [
        (("loss='hint'", "loss='srrl'", "loss='rkd', weight=0.1"), (), 1),
        pytest.param(EVERY, (), 1, marks=pytest.mark.slow),
        pytest.param(
            ("loss='hint'", "loss='rkd', weight=0.1"),
            (*STREAMED, "student.train.accumulate=2"),
            2,
            marks=pytest.mark.slow,
        ),
    ],
    ids=["three", "every", "streamed to two replicas"],
)
def test_losses_between_embeddings_are_those_of_a_live_teacher(
    world, shifted, tmp_path, terms, settings, num_replicas
):
    sets = (of_terms(*terms, more=KL), *RUN, SHIFTED, *settings)
    kind = {"num_replicas": num_replicas}
    online = session(world, tmp_path / "online", *sets, **kind)
    sets = (*sets, *KEPT, shifted, "distill.views=2")
    cached = session(world, tmp_path / "cached", *sets, **kind)
    assert taught(cached).auxiliary.is_in_memory == (num_replicas == 1)
    assert_same_trainings(trained(cached), trained(online))
    ours, theirs = adapters(cached), adapters(online)
    assert ours.keys() == theirs.keys()
    for name, values in ours.items():
        np.testing.assert_array_equal(values, theirs[name], err_msg=name)


@pytest.mark.slow
def test_a_member_of_an_ensemble_and_the_top_k_serve_too(world, tmp_path):
    hint = f"{{loss='hint', teacher='members[1]', {LAYERS}}}"
    sets = (f"distill={{hard_weight=0.5, terms=[{KL}, {hint}]}}", *RUN)
    online = session(world, tmp_path / "online", *sets, name="members")
    cached = cached_session(world, tmp_path / "cached", *sets, *KEPT, name="members")
    assert_same_trainings(trained(cached), trained(online))
    sets = (of_terms("loss='hint'", "loss='pkt'", more=KL), *RUN, *KEPT)
    top = cached_session(world, tmp_path / "top", *sets, "distill.top_k=3")
    spec = taught(top)
    names = {f"teacher_0_{x}" for x in ("classes", "logits", "tails", "embedding")}
    assert names < set(batches(top, spec, 1)[0])
    assert trained(top)[1][-1]["step"] == 20


@pytest.mark.slow
def test_float16_keeps_the_nearest(world, tmp_path):
    sets = (of_terms(*WITHOUT_LOGITS), *RUN, *KEPT)
    found = {}
    for name, more in {"whole": (), "half": (HALF,)}.items():
        opened = cached_session(world, tmp_path / name, *sets, *more)
        (batch,) = batches(opened, taught(opened), 1)
        found[name] = batch["teacher_0_embedding"], trained(opened)
    whole, half = found["whole"], found["half"]
    assert half[0].dtype == np.float16
    np.testing.assert_array_equal(half[0], whole[0].astype(np.float16))
    for ours, theirs in zip(half[1][1], whole[1][1], strict=True):
        assert ours == pytest.approx(theirs, rel=5e-3, abs=5e-3)


# Of the teacher its last layer alone is in the graph.


def kernels(opened: Session) -> set[tuple[int, ...]]:
    """The shapes of the matrices that one replica's part of a step reads."""
    spec = taught(opened)
    batch = next(iter(train_state.batches(opened.datasets, spec, 0)))
    step = tf.function(
        lambda batch: spec.objective.run(batch, tf.constant(0), tf.constant(1.0))
    )
    graph = step.get_concrete_function(batch).graph
    shapes = (tuple(variable.shape) for variable in graph.variables)
    return {shape for shape in shapes if len(shape) == 2}


@pytest.mark.slow
def test_the_teacher_is_not_in_the_graph(world, plain, tmp_path):
    own, hidden, last = {(36, 8), (8, 10)}, (36, 12), (12, 10)
    sets = (of_terms("loss='hint'", "loss='pkt'"), *RUN)
    online = session(world, tmp_path / "online", *sets)
    assert kernels(online) == {*own, (8, 12), hidden, last}
    kept = (*KEPT, place(plain))
    cached = session(world, tmp_path / "cached", *sets, *kept)
    assert kernels(cached) == {*own, (8, 12)}
    sets = (of_terms("loss='srrl'", "loss='pkt'"), *RUN)
    through = session(world, tmp_path / "srrl", *sets, *kept)
    assert kernels(through) == {*own, (8, 12), last}


# Bytes, and what is told of them.


def folder_of(opened: Session) -> epath.Path:
    return opened.path / "soft_targets" / "train"


def test_a_record_is_the_id_the_logits_and_the_embedding(world, plain, tmp_path):
    manifest = soft_targets.read(folder_of(plain))
    assert manifest.embedding == soft_targets.EmbeddingFormat(
        layer="logits", size=12, dtype="float32"
    )
    assert manifest.format.record.itemsize == 8 + 4 * 10 + 4 * 12
    records = soft_targets.read_shard(folder_of(plain), manifest, view=0, number=1)
    images = plain.datasets.source.read("train").read(np.arange(2048, 2148))
    teacher = plain.networks.teachers[0]
    hidden = keras.Model(teacher.inputs[0], teacher.get_layer("logits").input)
    np.testing.assert_allclose(
        records["embedding"][:100], hidden(images), rtol=1e-5, atol=1e-5
    )
    np.testing.assert_allclose(
        records["logits"][:100], teacher(images), rtol=1e-4, atol=1e-4
    )


@pytest.mark.slow
def test_plan_and_info_tell_of_it(world, plain, capsys, tmp_path):
    half = session(world, tmp_path, *KEPT, HALF)
    stages.OTHERS["soft-targets plan"](half)
    stages.OTHERS["soft-targets info"](plain)
    told = capsys.readouterr().out
    # With the 16 bytes that a TFRecord adds.
    assert_states(told, f"{8 + 4 * 10 + 2 * 12 + 16} bytes", "float16")
    assert_states(told, "12 values into 'logits' in float32")
    assert not (tmp_path / "soft_targets").exists()


def test_a_cache_without_one_is_as_before(without):
    path = folder_of(without) / soft_targets.MANIFEST
    assert "embedding" not in path.read_text()
    assert soft_targets.read(folder_of(without)).format.record.itemsize == 8 + 4 * 10
    shard = soft_targets.shard_path(folder_of(without), 0, 0)
    assert shard.stat().length == 2048 * (8 + 4 * 10 + 16)


def test_an_earlier_manifest_is_marked_and_written_as_it_was(tmp_path):
    manifest = soft_targets.Manifest(
        teacher={"model": "mlp", "weights": "ab"},
        dataset={"split": "train", "input_shape": [6, 6, 1]},
        growth=({"num_ids": 3, "fingerprint": "cd"},),
        precision="float32",
        class_names=("a", "b"),
        augment={"name": "none"},
        views=1,
        dtype="float32",
        top_k=0,
        temperatures=(),
        shards=(soft_targets.Shard(first=0, num_ids=3, count=3),),
    )
    marked = soft_targets.mark(manifest)
    assert marked.mark == EARLIER_MARK
    soft_targets.write(epath.Path(tmp_path), marked)
    names = json.loads((tmp_path / "manifest.json").read_text()).keys()
    assert set(names) == EARLIER_NAMES
    assert soft_targets.read(epath.Path(tmp_path)) == marked


@pytest.mark.parametrize(
    "settings", [(CACHED,), (*KEPT, HALF)], ids=["without", "another type"]
)
def test_another_embedding_is_refused(world, plain, tmp_path, settings):
    opened = session(world, tmp_path, *settings, place(plain))
    with refused(SoftTargetsError, folder_of(plain), "embedding", "float32"):
        taught(opened)


def test_a_cache_without_one_does_not_serve(world, without, tmp_path):
    opened = session(world, tmp_path, *KEPT, place(without))
    with refused(SoftTargetsError, folder_of(without), "embedding", "None"):
        taught(opened)


# What cannot be kept.


def test_what_float16_cannot_hold_is_refused(world, tmp_path):
    opened = session(world, tmp_path, *KEPT, HALF)
    for variable in opened.networks.teachers[0].variables[:2]:
        variable.assign(1e6 * variable)
    facts = ("float16", "distill.cache_embedding_dtype = 'float32'")
    with refused(SoftTargetsError, "embedding", "id ", "'train'", *facts):
        build(opened)
    assert not list(folder_of(opened).glob("*/*.tfrecord"))


def of_teacher(world, folder, network: str) -> Session:
    train = "train={global_batch_size=20, steps=1}"
    teacher = f"teacher={{{network}, {train}}}"
    chosen = config.load(str(world / "one.toml"), [teacher, *KEPT])
    return whole_run.session(chosen, folder, strategy_of(1))


def test_the_embedding_of_a_convolutional_teacher_is_flat(world, tmp_path):
    opened = of_teacher(world, tmp_path, "model='cnn', options={filters=[4]}")
    # One convolution of 4 filters with stride 2 leaves 3 x 3 places.
    (form,) = opened.networks.embeddings
    assert (form.layer, form.size) == ("logits", 3 * 3 * 4)


def pixelwise(input_shape, num_classes):
    """Classes of each pixel, averaged: the last Dense layer takes a map."""
    image = keras.Input(input_shape)
    each = keras.layers.Dense(num_classes)(keras.layers.Rescaling(1 / 255)(image))
    return keras.Model(image, keras.layers.GlobalAveragePooling2D()(each))


@pytest.mark.parametrize(
    ("network", "facts"),
    [
        ("model='squeezenet', image_size=32", ("Dense",)),
        (f"model='{__name__}:pixelwise'", ("vector", "[6, 6, 1]")),
    ],
    ids=["without Dense", "of a map"],
)
def test_a_teacher_without_an_embedding_is_refused(world, tmp_path, network, facts):
    opened = of_teacher(world, tmp_path, network)
    with refused(ConfigError, "distill.cache_embedding", *facts):
        check(opened)


@pytest.mark.slow
def test_verify_compares_embeddings(copied, capsys):
    verify(copied)
    assert_states(capsys.readouterr().out, "embedding")
    folder = folder_of(copied)
    manifest = soft_targets.read(folder)
    path = soft_targets.shard_path(folder, 0, 0)
    records = soft_targets.read_shard(folder, manifest, view=0, number=0)
    records["embedding"][3] += 1.0
    records["id"] += manifest.tag(0)
    soft_targets.write_shard(path, records)
    # As if it had been written so.
    forgotten = [dataclasses.replace(x, sha256=()) for x in manifest.shards]
    soft_targets.write(folder, dataclasses.replace(manifest, shards=tuple(forgotten)))
    soft_targets.keep(folder)
    with refused(CheckFailedError, folder):
        verify(copied)


def test_a_shard_that_is_missing_is_built_again_in_the_same_bytes(copied):
    path = soft_targets.shard_path(folder_of(copied), 0, 1)
    before = path.read_bytes()
    path.unlink()
    build(copied)
    assert path.read_bytes() == before
