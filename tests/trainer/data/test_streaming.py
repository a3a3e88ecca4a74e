"""The way in which a run streams a prepared set, and what it keeps of it."""

import dataclasses
import json

import numpy as np
import pytest
import tensorflow as tf
from etils import epath

from tests.helpers import whole_run
from tests.helpers.configs import RUN
from tests.helpers.devices import strategy_of
from tests.helpers.messages import assert_states, refused
from tests.helpers.tfds_sets import NUM_TINY, Tiny, prepare
from trainer import data
from trainer.cluster.workers import Workers
from trainer.config import DataConfig, load

NUM_FILES = 6  # of each split
TRAIN = "train+test[:2]"  # of eight files
STREAMED = "streamed.json"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("tiny")
    prepare(Tiny, path, NUM_FILES)
    return path


@pytest.fixture
def lists(tmp_path):
    return epath.Path(tmp_path / "files")


def config(folder, **settings):
    splits = {"train_split": TRAIN, "validation_split": "test[2:4]"}
    splits |= {"test_split": "test[4:]", "memory_budget_bytes": 0}
    return DataConfig(dataset="tiny", data_dir=str(folder), **(splits | settings))


def streaming(folder, lists, *, has_begun=False, may_write=True, **settings):
    source = data.open_source(config(folder, **settings), lists)
    return data.streaming(source, lists, has_begun=has_begun, may_write=may_write)


def kept(lists):
    return json.loads((lists / STREAMED).read_text())["read_parts"]


def test_a_run_keeps_the_parts_that_it_began_with(folder, lists):
    assert streaming(folder, lists).num_parts == kept(lists) == 2
    # Another version may choose otherwise.
    assert streaming(folder, lists, has_begun=True).num_parts == 2
    assert streaming(folder, lists / "b", train_split="train[:2]").num_parts == 1
    assert streaming(folder, lists / "c", read_parts=7).num_parts == 7


def test_a_run_of_an_earlier_version_goes_on_in_one_part(folder, lists):
    assert streaming(folder, lists, has_begun=True).num_parts == kept(lists) == 1
    assert streaming(folder, lists).num_parts == 1


def test_windows_are_bounded_in_bytes_but_of_earlier_runs(folder, lists):
    files = sorted((folder / "tiny" / "1.0.0").glob("*.tfrecord*"))
    sizes = [
        len(x)
        for x in tf.data.TFRecordDataset(list(map(str, files))).as_numpy_iterator()
    ]
    bound = {"shuffle_window_bytes": int(3.5 * np.mean(sizes))}

    def window(where, **settings):
        source = data.open_source(config(folder, **bound), where)
        way = data.streaming(source, where, **({"has_begun": False} | settings))
        return way.of(source.read(TRAIN)).window

    assert window(lists, may_write=False) == window(lists) == 3
    assert window(lists, has_begun=True) == 3
    whole = DataConfig.shuffle_window
    assert window(lists / "a", has_begun=True) == whole
    assert window(lists / "a") == whole
    bound = {"shuffle_window_bytes": 1}
    assert window(lists / "b") == 1
    bound = {}
    assert window(lists / "c") == whole


def test_nothing_is_kept_where_nothing_is_streamed_or_others_write(folder, lists):
    in_memory = streaming(folder, lists, memory_budget_bytes=2**20)
    assert in_memory == data.Streaming()
    assert streaming(folder, lists, may_write=False).num_parts == 2
    assert not lists.exists()


def test_settings_of_streamed_records_are_told_of_where_none_are(folder, lists):
    def told(**settings):
        return data.unused_settings(data.open_source(config(folder, **settings), lists))

    mine = {"read_parts": 3, "shuffle_window_bytes": 7, "num_threads": 2}
    assert_states(
        told(memory_budget_bytes=2**20, **mine),
        *("data.read_parts = 3", "data.shuffle_window_bytes = 7", "'tiny'"),
        "data.memory_budget_bytes",
    )
    # Threads decode images that are kept in memory too.
    assert not told(memory_budget_bytes=2**20, num_threads=2)
    assert not told(memory_budget_bytes=0, **mine)


def test_a_damaged_file_of_the_parts_is_refused(folder, lists):
    streaming(folder, lists)
    text = (lists / STREAMED).read_text()
    (lists / STREAMED).write_text(text.replace("2", "3", 1))
    with refused(data.DataError, str(lists / STREAMED), "--workdir"):
        streaming(folder, lists, has_begun=True)


def test_workers_that_read_more_than_their_share_are_told_of():
    labels = object()
    assert not data.Streaming().note(4)
    assert not data.Streaming(num_parts=4, labels=labels).note(4)
    for num_parts, share in ((1, "all"), (3, "one of 3 parts")):
        note = data.Streaming(num_parts=num_parts, labels=labels).note(4)
        assert share in note
        assert "data.read_parts = 4" in note


def gone(files):
    """The examples' files, of which none can be read."""
    return dataclasses.replace(files, paths=("/nowhere/gone",) * len(files.paths))


def test_labels_are_read_once(folder, lists):
    source = data.open_source(config(folder), lists)

    def read(*, are_there=True, may_write=True):
        way = data.streaming(source, lists, has_begun=False, may_write=may_write)
        examples = way.of(source.read(TRAIN))
        if not are_there:
            examples = dataclasses.replace(examples, files=gone(examples.files))
        return examples.labels

    images = source.read(TRAIN).read(np.arange(NUM_TINY + 2))
    expected = images[:, 0, 0, 0].astype(int) % 3  # each is filled with its number
    assert read(may_write=False).tolist() == expected.tolist()
    assert not list(lists.glob("labels-*"))
    assert read().tolist() == expected.tolist()
    found = read(are_there=False)
    assert (found.tolist(), found.dtype) == (expected.tolist(), np.int32)
    with pytest.raises(data.DataError):  # those of other examples are not kept
        gone(source.read("test").files).labels  # noqa: B018
    [file] = lists.glob("labels-*")
    file.write_text(file.read_text().replace('"labels": "e', '"labels": "f'))
    assert read().tolist() == expected.tolist()
    assert read(are_there=False).tolist() == expected.tolist()


class Two(Workers):
    """A worker whose peer tells the same."""

    count = 2

    def __init__(self):
        super().__init__(None)
        self.told = []

    def all_gather(self, value):
        self.told.append(value)
        return [value, value]


def test_workers_compare_a_streamed_set_without_reading_it(folder, lists, tmp_path):
    run = tmp_path / "run.toml"
    run.write_text(RUN)
    told = []
    for settings in ({}, {"train_split": "train[1:]"}, {}):
        section = config(folder, exclude_labels=(), **settings)
        whole = dataclasses.replace(load(str(run)), data=section)
        session = whole_run.session(whole, tmp_path / "run", strategy_of(1))
        workers = Two()
        devices = dataclasses.replace(session.devices, workers=workers)
        datasets = dataclasses.replace(session, devices=devices).datasets
        files = datasets.training.files
        assert "labels" not in vars(files)
        assert datasets.training.num_parts == 2
        told.append(workers.told)
    assert told[0] == told[2] != told[1]
