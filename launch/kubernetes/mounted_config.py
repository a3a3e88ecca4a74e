"""The config file that a pod of a manifest would read."""

import pathlib
import tempfile
from collections.abc import Sequence

from launch.kubernetes import pod_rules, trainer_config
from launch.kubernetes.findings import at, items, table
from launch.kubernetes.trainer_config import Settings
from launch.kubernetes.yaml_stream import Document


def settings_of(
    template: Document, container_name: str, documents: Sequence[Document]
) -> Settings | None:
    """Every setting of the run; None where no ConfigMap here holds its file.

    Raises:
      LaunchError: the trainer refuses the settings.
    """
    container = pod_rules.container_of(template, container_name)
    words = pod_rules.words_of(container)
    for value in trainer_config.flag_values(words, "config"):
        path = pathlib.PurePosixPath(value)
        text = _text(template, container, path, documents)
        if text is not None:
            with tempfile.TemporaryDirectory() as folder:
                file = pathlib.Path(folder) / path.name
                file.write_text(text, encoding="utf-8")
                return trainer_config.resolve(file, words)
    return None


def _text(
    template: Document,
    container: Document,
    path: pathlib.PurePosixPath,
    documents: Sequence[Document],
) -> str | None:
    volumes = {
        mount.get("name")
        for mount in items(container, "volumeMounts")
        if mount.get("mountPath") == str(path.parent)
    }
    config_maps = {
        at(volume, "configMap", "name")
        for volume in items(template, "spec", "volumes")
        if volume.get("name") in volumes
    }
    for document in documents:
        files = table(document, "data")
        is_mounted = at(document, "metadata", "name") in config_maps
        if document.get("kind") == "ConfigMap" and is_mounted and path.name in files:
            return str(files[path.name])
    return None
