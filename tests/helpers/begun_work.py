"""Work that an earlier tree began, which tests/tools/write_begun.py wrote."""

import pathlib
import tarfile

BEGUN = pathlib.Path(__file__).parents[1] / "golden" / "begun"


def unpacked(name: str, place: pathlib.Path) -> pathlib.Path:
    """Puts it into `place`: a config, its data and its workdir."""
    with tarfile.open(BEGUN / f"{name}.tar.gz") as tar:
        tar.extractall(place, filter="data")
    return place
