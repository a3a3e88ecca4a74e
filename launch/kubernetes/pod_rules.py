"""Rules on the pod of a worker that no schema holds."""

import pathlib
import re
from collections.abc import Iterator

from launch.kubernetes import resource_rules
from launch.kubernetes.findings import Finding, at, items
from launch.kubernetes.pod import GPU, SHARED_MEMORY
from launch.kubernetes.yaml_stream import Document

_IMAGE = re.compile(r"[A-Za-z0-9][-\w.:/]*(@[a-z0-9]+:\w+)?")
_SHELLS = ("sh", "bash", "dash", "ash", "zsh", "busybox")


def container_of(template: Document, name: str) -> Document:
    """The container `name` of the pod template; {} where it is not one alone."""
    found = [c for c in items(template, "spec", "containers") if c.get("name") == name]
    return found[0] if len(found) == 1 else {}


def gpus_of(container: Document) -> int:
    """The number of GPUs that the container gets."""
    text = str(at(container, "resources", "limits", GPU) or 0)
    return int(text) if text.isdecimal() else 0


def words_of(container: Document) -> list[str]:
    """The whole command line; [] where the image's own runs."""
    parts = (container.get(key) for key in ("command", "args"))
    return [str(word) for part in parts if isinstance(part, list) for word in part]


def check(template: Document, *, where: str, name: str) -> Iterator[Finding]:
    """Yields what is wrong with a pod template whose program runs in `name`."""
    container = container_of(template, name)
    if not container:
        names = [c.get("name") for c in items(template, "spec", "containers")]
        yield Finding(
            where,
            f"exactly one container must be named {name!r}, got {names}; the operator "
            "sets up the container of that name and no other",
        )
        return
    if "readinessProbe" in container:
        yield Finding(
            where,
            "readinessProbe must be absent: a pod's name resolves once it is ready, "
            "and workers wait for one another's names before they train; remove it",
        )
    words = words_of(container)
    if words and pathlib.PurePosixPath(words[0]).name in _SHELLS:
        yield Finding(
            where,
            f"command must be the program itself, got {' '.join(words[:2])!r}: a shell "
            "keeps SIGTERM from it and may change its exit code; write the words as a "
            "list",
        )
    yield from _check_image(container, where)
    yield from resource_rules.check(template, container, where=where)
    if gpus_of(container) and not _has_shared_memory(template, container):
        yield Finding(
            where,
            f"{SHARED_MEMORY} must be an emptyDir with medium Memory where there are "
            "GPUs: NCCL does not fit into a container's own 64 MiB; add the volume and "
            "its mount",
        )


def _check_image(container: Document, where: str) -> Iterator[Finding]:
    image = str(container.get("image") or "")
    if not _IMAGE.fullmatch(image):
        yield Finding(
            where,
            "image (--image) must be REPOSITORY@sha256:... or REPOSITORY:TAG, without "
            f"blanks, got {image!r}",
        )
    elif "@sha256:" not in image:
        yield Finding(
            where,
            f"image {image!r} has no digest: a pod that is made again may get another "
            "program than its peers; name it as REPOSITORY@sha256:...",
            is_error=False,
        )


def _has_shared_memory(template: Document, container: Document) -> bool:
    names = {
        mount.get("name")
        for mount in items(container, "volumeMounts")
        if mount.get("mountPath") == SHARED_MEMORY
    }
    return any(
        volume.get("name") in names and at(volume, "emptyDir", "medium") == "Memory"
        for volume in items(template, "spec", "volumes")
    )
