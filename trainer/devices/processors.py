"""Processors that this process may use, which can be fewer than the machine has."""

import math
import os
import pathlib
from collections.abc import Iterator

_GROUPS = pathlib.Path("/proc/self/cgroup")
_MOUNT = pathlib.Path("/sys/fs/cgroup")


def count() -> int:
    """Counts the processors that its affinity and its control groups' quotas allow.

    A part of a processor counts as one.
    """
    return min([len(os.sched_getaffinity(0)), *_quotas()])


def _quotas() -> Iterator[int]:
    """The processors that each control group of the process may keep busy."""
    lines = _GROUPS.read_text().splitlines() if _GROUPS.exists() else []
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if controllers and "cpu" not in controllers.split(","):
            continue
        # Version 2 has one tree, which stands beside those of version 1 where both are.
        trees = ("cpu",) if controllers else ("", "unified")
        for tree in trees:
            # In a container the path may be that of the host, and the tree begin at
            # the container's group.
            inner = pathlib.PurePath(path.lstrip("/"))
            for group in (inner, *inner.parents):
                yield from _quota(_MOUNT / tree / group)


def _quota(group: pathlib.Path) -> Iterator[int]:
    try:
        if (file := group / "cpu.max").exists():  # version 2
            quota, period = file.read_text().split()
        else:
            quota = (group / "cpu.cfs_quota_us").read_text()
            period = (group / "cpu.cfs_period_us").read_text()
        if int(quota) > 0 and int(period) > 0:
            yield math.ceil(int(quota) / int(period))
    except (OSError, ValueError):
        return  # no such group, or none with a quota ("max", or -1)
