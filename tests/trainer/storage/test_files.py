"""Files are complete or absent, on full and read-only disks too."""

import errno
import json
import os
import pathlib

import pytest

from tests.helpers.messages import refused
from trainer.storage import files


def test_a_write_replaces_the_file(tmp_path):
    path = tmp_path / "new" / "results.json"
    files.write_text(path, "old")
    files.write_text(path, "new")
    assert path.read_text() == "new"
    assert os.listdir(path.parent) == ["results.json"]


def test_a_failed_write_leaves_the_old_file_and_no_other(tmp_path):
    path = tmp_path / "results.json"
    files.write_text(path, "old")

    def write_half() -> None:
        with files.atomic_path(path) as temporary:
            temporary.write_text("ne")
            raise RuntimeError("stop")

    with pytest.raises(RuntimeError, match="stop"):
        write_half()
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["results.json"]


def test_the_temporary_file_keeps_the_suffix(tmp_path):
    with files.atomic_path(tmp_path / "model.keras") as temporary:
        assert temporary.suffix == ".keras"
        assert temporary.parent == tmp_path
        temporary.write_text("weights")


def test_a_full_disk_is_named_and_keeps_what_was_there(small_disk):
    path = small_disk / "state.npz"
    files.write_text(path, "old")

    def fill() -> None:
        with files.atomic_path(path) as temporary:
            temporary.write_bytes(b"x" * 2**21)

    with refused(files.StorageError, path, os.strerror(errno.ENOSPC), "--workdir"):
        fill()
    assert path.read_text() == "old"
    assert os.listdir(small_disk) == ["state.npz"]


def test_a_folder_that_is_a_file_is_named(tmp_path):
    (tmp_path / "workdir").write_text("")
    with refused(files.StorageError, tmp_path / "workdir/config.json", "written"):
        files.write_text(tmp_path / "workdir" / "config.json", "{}")


def test_json_keeps_rows_of_numbers_on_one_line(tmp_path):
    path = tmp_path / "results.json"
    value = {"a": {"matrix": [[1, 2], [3, 4]], "empty": {}, "none": None}, "b": [0.5]}
    files.write_json(path, value)
    assert json.loads(path.read_text()) == value
    assert "      [1, 2],\n      [3, 4]\n" in path.read_text()


def test_json_refuses_what_is_no_number(tmp_path):
    with pytest.raises(ValueError, match="JSON"):
        files.write_json(pathlib.Path(tmp_path / "results.json"), {"nll": float("nan")})
