"""Rules on what a container gets: its amounts, and the memory that it shares."""

from collections.abc import Iterator

from launch.kubernetes import quantity
from launch.kubernetes.findings import Finding, at, items, table
from launch.kubernetes.pod import SHARED_MEMORY
from launch.kubernetes.yaml_stream import Document

_FLAGS = {"cpu": "--cpu", "memory": "--memory"}


def check(template: Document, container: Document, *, where: str) -> Iterator[Finding]:
    """Yields what is wrong with the amounts of a container of the pod template."""
    told = set()
    for part in ("requests", "limits"):
        for name, amount in table(container, "resources", part).items():
            flag = _FLAGS.get(name)
            if flag and (name, amount) not in told and not quantity.value(str(amount)):
                told.add((name, amount))
                yield _no_quantity(where, f"{name} ({flag})", amount)
    size = _shared_size(template, container)
    if size is None:
        return
    shared = quantity.value(str(size))
    if shared is None:
        yield _no_quantity(
            where, f"{SHARED_MEMORY}'s sizeLimit (--shared-memory)", size
        )
        return
    limit = at(container, "resources", "limits", "memory")
    memory = quantity.value(str(limit))
    if memory is not None and memory < shared:
        yield Finding(
            where,
            f"memory (--memory) must be at least {size}, the size of {SHARED_MEMORY} "
            f"(--shared-memory), which counts as a part of it, got {limit}; raise it",
        )


def _shared_size(template: Document, container: Document) -> object:
    """The limit of the volume at /dev/shm; None where there is none."""
    names = {
        mount.get("name")
        for mount in items(container, "volumeMounts")
        if mount.get("mountPath") == SHARED_MEMORY
    }
    for volume in items(template, "spec", "volumes"):
        if volume.get("name") in names:
            return at(volume, "emptyDir", "sizeLimit")
    return None


def _no_quantity(where: str, what: str, amount: object) -> Finding:
    return Finding(
        where,
        f"{what} must be a quantity of Kubernetes above zero, such as 500m, 4 or 16Gi, "
        f"got {str(amount)!r}",
    )
