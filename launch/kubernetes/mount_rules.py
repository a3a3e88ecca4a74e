"""Rules between the command of a pod and the folders that are mounted into it."""

import pathlib
from collections.abc import Iterator, Sequence

from launch import program
from launch.kubernetes import mounted_config, pod_rules
from launch.kubernetes.findings import Finding, items
from launch.kubernetes.yaml_stream import Document


def check(
    template: Document,
    container: Document,
    documents: Sequence[Document],
    *,
    where: str,
) -> Iterator[Finding]:
    """Yields which files of the command the pod would not find, or not keep."""
    words = pod_rules.words_of(container)
    if any(document.get("kind") == "ConfigMap" for document in documents):
        for value in program.flag_values(words, "config"):
            path = pathlib.PurePosixPath(value)
            yield from _check_config(path, template, container, documents, where)
    for folder in program.flag_values(words, "workdir"):
        if "://" not in folder and not _is_kept(folder, template, container):
            yield Finding(
                where,
                "--workdir must be in a bucket or below the mountPath of a volume that "
                f"outlives the pod, got {folder!r}: checkpoints would go with the pod; "
                "mount a persistentVolumeClaim there",
            )


def _check_config(
    path: pathlib.PurePosixPath,
    template: Document,
    container: Document,
    documents: Sequence[Document],
    where: str,
) -> Iterator[Finding]:
    names = mounted_config.config_maps(template, container, path)
    held = mounted_config.files_of(names, documents)
    if names and held is None:
        yield Finding(
            where,
            f"--config={path} needs a ConfigMap {' or '.join(sorted(names))}, and the "
            "manifest holds none of this name; name the volume's configMap as it is "
            "named there",
        )
    elif held is not None and path.name not in held:
        yield Finding(
            where,
            f"--config={path} must be a file of ConfigMap {' or '.join(sorted(names))},"
            f" which holds {', '.join(held) or 'none'}",
        )


def _is_kept(folder: str, template: Document, container: Document) -> bool:
    lost = {
        volume.get("name")
        for volume in items(template, "spec", "volumes")
        if "emptyDir" in volume or "configMap" in volume or "secret" in volume
    }
    path = pathlib.PurePosixPath(folder)
    mounts = {
        pathlib.PurePosixPath(str(mount.get("mountPath"))): mount.get("name")
        for mount in items(container, "volumeMounts")
    }
    # The innermost mount is the one that is seen.
    name = next(
        (mounts[place] for place in (path, *path.parents) if place in mounts), None
    )
    return name is not None and name not in lost
