"""The config file that a pod of a manifest would read."""

import pathlib
import re
import tempfile
from collections.abc import Collection, Sequence
from typing import Any

from launch import program
from launch.kubernetes import pod_rules, trainer_config
from launch.kubernetes.findings import at, items, table
from launch.kubernetes.trainer_config import Settings
from launch.kubernetes.yaml_stream import Document


def settings_of(
    template: Document, container: Document, documents: Sequence[Document]
) -> Settings | None:
    """Every setting of the run; None where no ConfigMap here holds its file.

    Raises:
      LaunchError: the trainer refuses the settings.
    """
    words = pod_rules.words_of(container)
    for value in program.flag_values(words, "config"):
        path = pathlib.PurePosixPath(value)
        names = config_maps(template, container, path)
        text = (files_of(names, documents) or {}).get(path.name)
        if text is not None:
            with tempfile.TemporaryDirectory() as folder:
                file = pathlib.Path(folder) / path.name
                file.write_text(str(text), encoding="utf-8")
                return trainer_config.resolve(file, words)
    return None


def least_gpus(container: Document) -> int:
    """The runtime.min_gpus that the command itself sets, 0 where it does not."""
    values = program.flag_values(pod_rules.words_of(container), "set")
    found = [re.fullmatch(r"runtime\.min_gpus=(\d+)", value) for value in values]
    return max((int(match[1]) for match in found if match), default=0)


def config_maps(
    template: Document, container: Document, path: pathlib.PurePosixPath
) -> set[str]:
    """The names of the ConfigMaps whose keys are the files beside `path`."""
    volumes = {
        mount.get("name")
        for mount in items(container, "volumeMounts")
        if mount.get("mountPath") == str(path.parent)
    }
    return {
        str(at(volume, "configMap", "name"))
        for volume in items(template, "spec", "volumes")
        # With items the files have other names than the keys.
        if volume.get("name") in volumes
        and at(volume, "configMap", "name")
        and not items(volume, "configMap", "items")
    }


def files_of(
    names: Collection[str], documents: Sequence[Document]
) -> dict[str, Any] | None:
    """The files in the ConfigMaps of these names; None where the manifest has none."""
    found = [
        {**table(document, "data"), **table(document, "binaryData")}
        for document in documents
        if document.get("kind") == "ConfigMap"
        and at(document, "metadata", "name") in names
    ]
    return (
        {key: file for files in found for key, file in files.items()} if found else None
    )
