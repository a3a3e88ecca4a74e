"""Lists of images and prepared folders that change under a begun run."""

import os

import numpy as np
import pytest
from etils import epath

from tests.helpers import drawn_images
from tests.helpers.messages import refused
from tests.helpers.tfds_sets import NUM_TINY_FILES, Tiny, prepare
from trainer import data
from trainer.config import DataConfig
from trainer.data import file_contents


def opened(config, workdir):
    lists = epath.Path(workdir) / "files"
    source = data.open_source(config, lists)
    data.hold_contents(source, lists, may_write=True)
    return data.as_begun(source, lists, has_begun=False)


def test_extended_soft_targets_take_out_what_a_list_has_no_longer(tmp_path):
    root, workdir = tmp_path / "drawn", tmp_path / "workdir"
    drawn_images.write(root, 80, size=8)
    names = sorted(str(path.relative_to(root)) for path in root.glob("*/*"))
    config = DataConfig(dataset=f"list:{root}/list.csv", image_size=8)

    def write(kept):
        rows = [f"{name},{name.partition('/')[0]}\n" for name in kept]
        (root / "list.csv").write_text("".join(["path,label\n", *rows]))

    write(names[:-1])
    before = opened(config, workdir).read("train")
    gone = names[3]
    write([name for name in names if name != gone])
    with refused(data.DataError, f"'{gone}'", "--workdir"):
        opened(config, workdir)
    [said] = data.extend_lists(config, epath.Path(workdir) / "files")
    assert said.endswith("1 files have come, 1 are gone")
    after = opened(config, workdir).read("train")
    assert len(after) == len(before) == 79
    # Ids stay; the one that came has the next.
    assert len(set(before.ids) - set(after.ids)) == 1
    assert set(after.ids) - set(before.ids) == {79}


@pytest.mark.parametrize("read_bytes", [2**30, 0])
def test_a_prepared_folder_is_known_by_its_files(read_bytes, tmp_path, monkeypatch):
    monkeypatch.setattr(file_contents, "_READ_BYTES", read_bytes)
    prepare(Tiny, tmp_path, NUM_TINY_FILES)
    folder = tmp_path / "tiny" / "1.0.0"
    config = DataConfig(dataset=f"tfds:{folder}")
    workdir = tmp_path / "workdir"
    assert len(opened(config, workdir).read("train")) == 30
    names = folder / "label.labels.txt"
    names.write_text("c\nb\na\n")
    with refused(data.DataError, "label 0", "'a'", "'c'"):
        opened(config, workdir)
    names.write_text("a\nb\nc\n")
    np.testing.assert_array_equal(opened(config, workdir).class_names, ["a", "b", "c"])
    file = sorted(folder.glob("*train*"))[-1]
    contents = bytearray(file.read_bytes())
    contents[-30] ^= 1
    before = file.stat()
    file.write_bytes(contents)
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))
    opened(config, workdir)  # which reads no file that nobody says to have written
    os.utime(file)
    with refused(data.DataError, f"train of data.dataset 'tfds:{folder}'", "--workdir"):
        opened(config, workdir)
