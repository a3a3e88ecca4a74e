"""The place of a table is no identity of a run; its contents are."""

import json

import pytest

from tests.helpers.configs import OF_DATASET
from tests.helpers.messages import refused
from trainer import data
from trainer.config import (
    ConfigError,
    DataConfig,
    is_earlier_name,
    load,
    recorded_settings,
    run_name,
)
from trainer.data.unlabeled import open_sources
from trainer.storage import workdir

ROWS = "x,y,label\n" + "".join(f"{i},{i % 7},{i % 2}\n" for i in range(60))
SPLITS = {
    "train_split": "train[:60%]",
    "validation_split": "train[60%:80%]",
    "test_split": "train[80%:]",
}


@pytest.fixture
def table(tmp_path):
    path = tmp_path / "rows.csv"
    path.write_text(ROWS)
    return path


def opened(path, lists):
    (source,) = open_sources(DataConfig(dataset=f"csv:{path}", **SPLITS), lists)
    data.hold_contents(source, lists, may_write=True)


def test_a_table_may_move(table, tmp_path):
    opened(table, tmp_path / "files")
    kept = (tmp_path / "files" / "tables.json").read_bytes()
    opened(table.rename(tmp_path / "moved.csv"), tmp_path / "files")
    assert (tmp_path / "files" / "tables.json").read_bytes() == kept


@pytest.mark.parametrize(
    ("old", "new"), [("7,0,1\n", "7,1,1\n"), ("7,0,1\n", ""), ("x,y,", "x,z,")]
)
def test_a_table_with_other_contents_is_refused(table, tmp_path, old, new):
    opened(table, tmp_path / "files")
    assert old in ROWS
    table.write_text(ROWS.replace(old, new))
    with refused(data.DataError, table, f"{tmp_path}/files/tables.json", "--workdir"):
        opened(table, tmp_path / "files")


@pytest.mark.parametrize("text", ["", "[]", "7", "{", '{"train": NaN}'])
def test_a_damaged_list_of_tables_is_refused(table, tmp_path, text):
    opened(table, tmp_path / "files")
    (tmp_path / "files" / "tables.json").write_text(text)
    with refused(data.DataError, f"{tmp_path}/files/tables.json"):
        opened(table, tmp_path / "files")


def config_at(folder, dataset):
    folder.mkdir(exist_ok=True)
    (folder / "run.toml").write_text(OF_DATASET.format(dataset=dataset))
    return load(str(folder / "run.toml"))


def test_a_begun_run_knows_its_table_by_what_it_keeps_of_it(tmp_path):
    """A run of an earlier version keeps nothing, and knows it by its place."""
    before = config_at(tmp_path, "csv:rows/a.csv")
    path = tmp_path / "workdir"
    (path / "student" / "seed-0").mkdir(parents=True)
    (path / "student" / "seed-0" / "model.keras").write_text("")
    (path / "config.json").write_text(json.dumps(recorded_settings(before)))
    after = config_at(tmp_path, "csv:elsewhere/a.csv")
    workdir.check(path, before)
    moved = "'csv:rows/a.csv' -> 'csv:elsewhere/a.csv'"
    with refused(ConfigError, f"data.dataset: {moved}"):
        workdir.check(path, after)
    (path / "files").mkdir()
    (path / "files" / "tables.json").write_text("{}")
    workdir.check(path, after)
    with refused(ConfigError, "data.dataset: 'csv:' -> 'npz:'"):
        workdir.check(path, config_at(tmp_path, "npz:rows/a.npz"))


def test_checkpoints_of_earlier_versions_have_the_name_they_had(tmp_path):
    """Which the version before tables could move gave to this config."""
    config = config_at(tmp_path, "csv:rows/t.csv").with_soft_targets("online")
    earlier = "small/student/seed-0/8249f28a9a367343"
    assert is_earlier_name(earlier, config, "student", 0)
    assert not is_earlier_name(earlier, config, "baseline", 0)
    moved = config_at(tmp_path, "csv:t.csv").with_soft_targets("online")
    assert not is_earlier_name(earlier, moved, "student", 0)
    assert run_name(moved, "student", 0) == run_name(config, "student", 0)


def test_who_may_not_write_keeps_nothing(table, tmp_path):
    config = DataConfig(dataset=f"csv:{table}", **SPLITS)
    lists = tmp_path / "files"
    (source,) = open_sources(config, lists, may_write=False)
    data.hold_contents(source, lists, may_write=False)
    data.as_begun(source, lists, has_begun=False, may_write=False)
    assert not lists.exists()
