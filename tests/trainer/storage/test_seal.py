"""What a checksum inside a JSON file finds."""

import hashlib
import json

import pytest

from trainer.storage import seal

SAID = {"name": "run", "models": {"10": 0.1, "9": [1, None]}}


def test_a_sealed_object_says_the_same():
    text = json.dumps(seal.add_checksum(SAID))
    assert seal.parse(text.encode()) == SAID


def test_the_checksum_is_that_of_the_sorted_keys():
    expected = '{"models": {"10": 0.1, "9": [1, null]}, "name": "run"}'
    digest = hashlib.sha256(expected.encode()).hexdigest()
    assert seal.add_checksum(SAID)["checksum"] == digest
    # Numbers as keys are text once they are read.
    numbers = {"name": "run", "models": {9: [1, None], 10: 0.1}}
    assert seal.checksum(numbers) == digest


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("0.1", "0.2"),
        ("run", "ruo"),
        ('"9"', '"8"'),
        ('"checksum"', '"chebksum"'),
        ("null", "0"),
    ],
)
def test_a_change_is_found(before, after):
    text = json.dumps(seal.add_checksum(SAID))
    assert before in text
    with pytest.raises(ValueError, match="checksum"):
        seal.parse(text.replace(before, after, 1).encode())


@pytest.mark.parametrize("content", [b"[]", b"3", b"null", b"{", b"\xff\xfe"])
def test_what_is_no_object_is_refused(content):
    with pytest.raises(ValueError, match=r"JSON|Expecting|codec|decode"):
        seal.parse(content)


@pytest.mark.parametrize("said", [{}, {"version": 3}, SAID])
def test_what_an_earlier_version_wrote_is_taken_as_it_is(said):
    assert seal.parse(json.dumps(said).encode()) == said
    assert not seal.is_sealed(said)
