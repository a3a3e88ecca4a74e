"""Processors that the affinity of a process and its control groups leave to it."""

import os

import pytest

from trainer.devices import processors

MANY = 10**6


@pytest.fixture
def groups(monkeypatch, tmp_path):
    """Writes the files by which the kernel tells the groups of a process."""

    def write(listing: str, quotas: dict[str, str]) -> None:
        for name, text in quotas.items():
            path = tmp_path / "mount" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(f"{text}\n")
        (tmp_path / "cgroup").write_text(listing)
        monkeypatch.setattr(processors, "_GROUPS", tmp_path / "cgroup")
        monkeypatch.setattr(processors, "_MOUNT", tmp_path / "mount")
        monkeypatch.setattr(os, "sched_getaffinity", lambda pid: range(MANY))

    return write


def test_a_process_bound_to_one_processor_uses_one():
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(before)})
    try:
        assert processors.count() == 1
    finally:
        os.sched_setaffinity(0, before)
    assert 1 <= processors.count() <= len(before)


VERSION_1 = "4:memory:/m\n3:cpu,cpuacct:/docker/a\n2:cpuset:/\n"


@pytest.mark.parametrize(
    ("listing", "quotas", "count"),
    [
        ("0::/\n", {"cpu.max": "250000 100000"}, 3),
        ("0::/\n", {"cpu.max": "20000 100000"}, 1),
        ("0::/\n", {"cpu.max": "max 100000"}, MANY),
        ("0::/\n", {}, MANY),
        ("0::/a/b\n", {"a/cpu.max": "200000 100000", "a/b/cpu.max": "max 100000"}, 2),
        ("0::/a\n", {"a/cpu.max": "800000 100000", "cpu.max": "400000 100000"}, 4),
        ("1:cpu:/\n0::/\n", {"unified/cpu.max": "500000 100000"}, 5),
        (
            VERSION_1,
            {
                "cpu/docker/a/cpu.cfs_quota_us": "600000",
                "cpu/docker/a/cpu.cfs_period_us": "100000",
            },
            6,
        ),
        (
            VERSION_1,  # the tree of a container begins at its own group
            {"cpu/cpu.cfs_quota_us": "150000", "cpu/cpu.cfs_period_us": "50000"},
            3,
        ),
        (
            VERSION_1,
            {"cpu/cpu.cfs_quota_us": "-1", "cpu/cpu.cfs_period_us": "100000"},
            MANY,
        ),
        (VERSION_1, {"memory/m/cpu.max": "100000 100000"}, MANY),
    ],
)
def test_the_smallest_quota_of_the_groups_counts(groups, listing, quotas, count):
    groups(listing, quotas)
    assert processors.count() == count
