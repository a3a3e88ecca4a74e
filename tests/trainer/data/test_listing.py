"""First listings: what is looked at, and what a killed one leaves to the next."""

import json
import os
import pathlib
import time

import numpy as np
import pytest
from etils import epath
from PIL import Image

from tests.helpers.messages import assert_states, refused
from trainer.config import DataConfig
from trainer.data import DataError, file_list, listing, open_source
from trainer.data.listed_files import ListedFile, ListedFiles
from trainer.storage import lists as kept_lists

SPLITS = {"validation_split": "train[80%:90%]", "test_split": "train[90%:]"}


@pytest.fixture
def root(tmp_path):
    """PATH/CLASS: 20 JPEGs of noise, 15 pixels high and 17 wide."""
    rng = np.random.default_rng(0)
    for i in range(20):
        path = tmp_path / "pets" / ("cat", "dog")[i % 2] / f"{i}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        pixels = rng.integers(0, 256, (15, 17, 3), np.uint8)
        Image.fromarray(pixels).save(path, quality=95)
    return tmp_path / "pets"


@pytest.fixture
def lists(tmp_path):
    return epath.Path(tmp_path / "lists")


def section(root: pathlib.Path, **settings: object) -> DataConfig:
    chosen = {"train_split": "train[:80%]", **SPLITS, **settings}
    return DataConfig(dataset=f"folder:{root}", image_size=8, **chosen)


def kept(lists: epath.Path) -> list[dict[str, object]]:
    text = (lists / "train.jsonl").read_bytes().decode().removesuffix("\n")
    found = list(map(json.loads, text.split("\n")))
    del found[0]["list"]
    return found


def spoil(path: pathlib.Path) -> None:
    """A PNG under the name of the image, whose pixels are damaged in the middle."""
    Image.fromarray(np.random.default_rng(1).integers(0, 256, (40, 40), np.uint8)).save(
        path, "PNG"
    )
    contents = bytearray(path.read_bytes())
    contents[len(contents) // 2] ^= 0xFF
    path.write_bytes(bytes(contents))


def test_headers_and_ends_give_the_lines_that_decoding_gives(root, lists):
    open_source(section(root, verify="decode"), lists / "a")
    open_source(section(root, verify="ends"), lists / "b")
    looked_at = kept(lists / "b")
    assert {line.pop("verified") for line in looked_at} == {"ends"}
    assert looked_at == kept(lists / "a")
    assert {(x["height"], x["width"]) for x in looked_at} == {(15, 17)}


def test_a_cut_file_is_found_by_its_end(root, lists):
    path = root / "cat" / "0.jpg"
    path.write_bytes(path.read_bytes()[:-40])
    with refused(DataError, path, 1, "data.skip_corrupt"):
        open_source(section(root, verify="ends"), lists)


def test_what_decoding_alone_finds_is_found_when_it_is_asked_for(root, lists):
    path = root / "cat" / "0.jpg"
    spoil(path)
    open_source(section(root, verify="ends"), lists)
    with refused(DataError, path, 1, lists / "train.jsonl", "--workdir"):
        open_source(section(root, verify="decode"), lists)
    with refused(DataError, path, "data.skip_corrupt"):
        open_source(section(root, verify="decode"), lists / "new")


def test_a_list_that_is_decoded_later_says_so(root, lists):
    open_source(section(root, verify="ends"), lists)
    open_source(section(root, verify="decode"), lists)
    assert not any("verified" in line for line in kept(lists))


def test_large_splits_are_said_to_be_looked_at_by_their_ends(
    root, lists, monkeypatch, capsys
):
    open_source(section(root), lists / "small")
    assert "verify" not in capsys.readouterr().err
    monkeypatch.setattr(listing, "_DECODED_BYTES", 1000)
    open_source(section(root), lists)
    assert_states(capsys.readouterr().err, "train", 'data.verify = "decode"')
    assert all(line["verified"] == "ends" for line in kept(lists))


@pytest.fixture
def reads(monkeypatch):
    """The paths of files that a listing reads, which fails above `reads.most`."""

    class Reads(list[str]):
        most = 1000

        def of(self, path: str) -> bytes:
            if len(self) >= self.most:
                raise KeyboardInterrupt
            self.append(path)
            return read(path)

    read, found = listing.bytes_of, Reads()
    monkeypatch.setattr(listing, "bytes_of", found.of)
    return found


def test_a_listing_that_was_killed_goes_on_where_it_was(
    root, lists, reads, monkeypatch
):
    open_source(section(root), lists / "whole")
    reads.clear()
    monkeypatch.setattr(listing, "_KEPT_EVERY_SECS", 0)
    reads.most = 12
    with pytest.raises(KeyboardInterrupt):
        open_source(section(root), lists)
    known = [file_list.read(x) for x in (lists / "train.listing").iterdir()]
    count = sum(map(len, known))
    assert 0 < count <= 12
    assert not (lists / "train.jsonl").exists()
    # One was written again since, and another one came.
    changed = root / known[0].paths[0]
    os.utime(changed, ns=(10**18, 10**18))
    reads.clear()
    reads.most = 1000
    open_source(section(root), lists)
    assert len(reads) == 20 - count + 1
    assert str(changed) in reads
    lines, whole = kept(lists), kept(lists / "whole")
    assert [x["sha256"] for x in lines] == [x["sha256"] for x in whole]
    assert [path.name for path in lists.iterdir() if path.name != "whole"] == [
        "train.jsonl"
    ]


def test_lists_that_nothing_was_trained_with_are_not_read_anew(root, lists, reads):
    open_source(section(root), lists)
    before = (lists / "train.jsonl").read_bytes()
    (root / "dog" / "1.jpg").unlink()
    reads.clear()
    kept_lists.set_aside(lists)
    assert not (lists / "train.jsonl").exists()
    open_source(section(root), lists)
    assert reads == []
    assert len(kept(lists)) == 19
    assert (lists / "train.jsonl").read_bytes() != before


def test_sizes_are_filled_in_where_an_earlier_list_has_none(root, lists):
    open_source(section(root), lists)
    now = kept(lists)
    earlier = [
        {k: v for k, v in x.items() if k not in ("height", "width")} for x in now
    ]
    text = "".join(f"{json.dumps(line)}\n" for line in earlier)
    (lists / "train.jsonl").write_text(text)
    open_source(section(root), lists, may_write=False)
    assert (lists / "train.jsonl").read_text() == text
    open_source(section(root), lists)
    assert kept(lists) == now


def test_a_list_of_many_lines_is_written_and_read_as_it_was(tmp_path):
    lines = [
        ListedFile(
            path=f"cat/{i} \u00e9\u2028.png",
            num_bytes=i,
            sha256=f"{i:064x}",
            class_name="cat" if i % 3 else "dog",
            state="example" if i % 5 else f"damaged: {i}",
            changed_nsec=None if i % 7 == 0 else 10**18 + i,
            background="opaque" if i % 2 else "",
            height=i % 11,
            width=i % 11,
            is_decoded=i % 13 > 0,
        )
        for i in range(25_000)
    ]
    path = epath.Path(tmp_path / "train.jsonl")
    file_list.write(path, ListedFiles.of(lines))
    found = file_list.read(path)
    assert list(found) == lines
    assert found[24_999] == lines[-1]
    assert [x["path"] for x in kept(epath.Path(tmp_path))] == [x.path for x in lines]
    cut = path.read_bytes().splitlines(keepends=True)[:-1]
    path.write_bytes(b"".join(cut))
    with refused(DataError, path, 24_999, "checksum"):
        file_list.read(path)
    cut[20_000] = b"{}\n"
    path.write_bytes(b"".join(cut))
    with refused(DataError, f"{path}, line 20001", "--workdir"):
        file_list.read(path)


@pytest.mark.slow
def test_a_long_list_is_read_as_fast_as_its_lines_are_parsed(tmp_path):
    count = 300_000
    path = epath.Path(tmp_path / "train.jsonl")
    with open(path, "w") as file:
        for i in range(count):
            name = f"n{i % 1000:08d}"
            file.write(
                f'{{"path": "train/{name}/{name}_{i}.JPEG", "bytes": {100_000 + i}, '
                f'"sha256": "{i:064x}", "class": "{name}", "state": "example", '
                f'"changed_nsec": {10**18 + i}, "background": "opaque", '
                '"height": 375, "width": 500}\n'
            )
    begun = time.thread_time()
    lines = file_list.read(path)
    took = time.thread_time() - begun
    assert (len(lines), len(lines.class_names)) == (count, 1000)
    assert lines[count - 1].path == "train/n00000999/n00000999_299999.JPEG"
    begun = time.thread_time()
    with open(path) as file:
        for line in file:
            json.loads(line)
    assert took < 2.5 * (time.thread_time() - begun)  # 1.1 measured
    arrays = [
        part
        for column in vars(lines).values()
        for part in (column, *getattr(column, "__dict__", {}).values())
        if isinstance(part, np.ndarray)
    ]
    assert sum(array.nbytes for array in arrays) < 150 * count


@pytest.mark.slow
def test_a_listed_folder_opens_as_fast_as_its_files_are_looked_up(tmp_path):
    count, root = 60_000, tmp_path / "many"
    for name in range(200):
        folder = root / f"{name:03d}"
        folder.mkdir(parents=True)
        first = folder / "0.png"
        Image.fromarray(np.full((4, 5, 3), name, np.uint8)).save(first)
        for i in range(1, count // 200):
            os.link(first, folder / f"{i}.png")
    settings = section(root, verify="ends", memory_budget_bytes=0)
    lists = epath.Path(tmp_path / "lists")
    open_source(settings, lists)
    begun = time.process_time()
    source = open_source(settings, lists)
    examples = source.read(settings.train_split)
    took = time.process_time() - begun
    assert len(examples) == 48_000
    assert np.bincount(examples.labels).min() > 200
    begun = time.process_time()
    assert all(path.stat().st_size for path in sorted(root.rglob("*.png")))
    assert took < 2 * (time.process_time() - begun)  # 0.65 measured
