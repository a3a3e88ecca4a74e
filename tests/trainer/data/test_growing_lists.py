"""Lists and caches of images that come to a folder, which others may empty."""

import errno
import os
import pathlib
import shutil
import subprocess
import sys

import pytest
from etils import epath

from tests.helpers import configs
from tests.helpers.messages import refused
from tests.helpers.pets import draw
from tests.helpers.repository import REPOSITORY
from trainer import config, data
from trainer.data import DataError, file_list
from trainer.data.listed_files import EXAMPLE, GONE, OVERWRITTEN


@pytest.fixture
def inbox(tmp_path) -> pathlib.Path:
    draw(tmp_path / "inbox", range(100, 104))
    return tmp_path / "inbox"


def section(inbox: pathlib.Path) -> config.DataConfig:
    path = inbox.parent / "pets.toml"
    path.write_text(configs.WATCHED.format(folder=inbox.parent, steps=4))
    return config.load(str(path), []).data


def admit(inbox: pathlib.Path, *shades: int) -> dict[str, str]:
    """The state of each image that is named by its shade."""
    names = {f"{shade}.png" for shade in shades}
    lists = epath.Path(inbox.parent / "lists")
    return {x.path: x.state for x in data.admit_files(section(inbox), lists, names)}


def kept(folder: pathlib.Path) -> list[str]:
    lines = file_list.read(epath.Path(folder / "unlabeled" / "train.jsonl"))
    return [line.state for line in lines]


def test_an_image_that_goes_once_it_was_admitted_is_told_to_be_gone(inbox):
    assert admit(inbox, 100, 101) == {"100.png": EXAMPLE, "101.png": EXAMPLE}
    (inbox / "100.png").unlink()
    # As a process does that begins again with the same images.
    assert admit(inbox, 100, 101) == {"100.png": GONE, "101.png": EXAMPLE}


def test_an_overwritten_image_is_set_aside_for_good_and_others_come(inbox):
    before = (inbox / "100.png").read_bytes()
    admit(inbox, 100, 101)
    draw(inbox, range(50, 51))
    (inbox / "50.png").rename(inbox / "100.png")
    found = admit(inbox, 102)
    assert found == {"100.png": OVERWRITTEN, "102.png": EXAMPLE}
    # Its record may be of either content.
    (inbox / "100.png").write_bytes(before)
    assert admit(inbox, 100, 103) == {
        "100.png": OVERWRITTEN,
        "103.png": EXAMPLE,
    }
    # The same bytes, written again.
    (inbox / "101.png").write_bytes((inbox / "101.png").read_bytes())
    assert admit(inbox, 101)["101.png"] == EXAMPLE


def test_who_has_begun_with_an_image_does_not_go_on_with_another(inbox):
    own, lists = (epath.Path(inbox.parent / name) for name in ("own", "lists"))
    admit(inbox, 100, 101)
    data.take_over(section(inbox), lists, own, are_own=True)
    data.check_taken_over(section(inbox), lists, own)
    # Of the same size.
    content = bytearray((inbox / "100.png").read_bytes())
    content[-1] ^= 1
    (inbox / "100.png").write_bytes(content)
    admit(inbox, 100, 101)
    with refused(DataError, inbox / "100.png", "overwritten"):
        data.check_taken_over(section(inbox), lists, own)


@pytest.mark.parametrize("name", ["100.png", "102.png"], ids=["known", "new"])
def test_an_image_that_its_storage_does_not_give_is_neither_gone_nor_damaged(
    inbox, name
):
    admit(inbox, 100, 101)
    # A link to itself fails as a disk does, and not as a file that is damaged.
    (inbox / name).rename(inbox / "kept")
    (inbox / name).symlink_to(name)
    with pytest.raises(DataError, match=os.strerror(errno.ELOOP)) as caught:
        admit(inbox, 102)
    assert data.is_passing(caught.value)
    assert kept(inbox.parent / "lists") == [EXAMPLE, EXAMPLE]
    (inbox / "kept").rename(inbox / name)
    assert admit(inbox, 102) == {"102.png": EXAMPLE}


SILENT = """
import sys
from etils import epath
from trainer import config, data
from trainer.data import layout
section = config.load(sys.argv[1], ["data.unlabeled.dataset='folder:gs://pets/inbox'"])
for look in (
    lambda: data.find_new_files(section.data, epath.Path("lists")),
    # As of a bucket that answers no more once it is known to be there.
    lambda: layout._walk("gs://pets/inbox"),
):
    try:
        print(look())
    except data.DataError as error:
        print(data.is_passing(error), str(error).splitlines()[0])
"""


@pytest.mark.slow
def test_a_bucket_that_does_not_answer_is_no_empty_folder(inbox):
    section(inbox)
    # Nobody listens there.
    silent = {"https_proxy": "http://127.0.0.1:9", "NO_GCE_CHECK": "true"}
    done = subprocess.run(
        [sys.executable, "-c", SILENT, str(inbox.parent / "pets.toml")],
        cwd=REPOSITORY,
        env={**os.environ, **silent, "GCS_RETRY_CONFIG_MAX_RETRIES": "0"},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    first, second = done.stdout.splitlines()
    assert first.startswith("True gs://pets/inbox ")
    assert "Could not connect to server" in first
    assert second.startswith("True gs://pets/inbox ")


def test_a_disk_that_is_not_mounted_takes_no_image_with_it(inbox):
    admit(inbox, 100, 101)
    shutil.rmtree(inbox)
    inbox.mkdir()
    with refused(DataError, inbox, "images", "none"):
        admit(inbox, 100, 101)
    assert kept(inbox.parent / "lists") == [EXAMPLE, EXAMPLE]


def test_a_list_serves_on_after_most_of_its_images_have_gone(inbox):
    admit(inbox, 100, 101, 102)
    for shade in (100, 101, 102):
        (inbox / f"{shade}.png").unlink()
    admit(inbox, 103)
    own = inbox.parent / "own"
    lists = epath.Path(inbox.parent / "lists")
    data.take_over(section(inbox), lists, epath.Path(own), are_own=False)
    assert sorted(kept(own)) == [EXAMPLE, GONE, GONE, GONE]
