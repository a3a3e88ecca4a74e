"""Folders that pods reach: on a persistent volume claim, or in a bucket."""

import dataclasses
import re

from launch.errors import LaunchError
from launch.kubernetes.job import Volume

# A claim also names a folder under /mnt, so it may not have the dots of a subdomain.
_CLAIM = re.compile(r"pvc://([a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?)((/[^/\s]+)*)/?")
_BUCKET = re.compile(r"gs://[a-z0-9][-_.a-z0-9]*(/\S*)?")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Folder:
    """A folder as the containers name it, and the volume that holds it."""

    path: str
    volume: Volume | None  # None: the program itself opens the path

    def below(self, name: str) -> "Folder":
        """The folder `name` in this one."""
        return dataclasses.replace(self, path=f"{self.path.rstrip('/')}/{name}")


def folder(text: str, *, flag: str, role: str) -> Folder:
    """Reads `text`, the value of `flag`; `role` names its volume in the pod.

    Raises:
      LaunchError: it is neither a folder of a claim nor one of a bucket.
    """
    claim = _CLAIM.fullmatch(text)
    if claim and ".." not in text.split("/"):
        volume = Volume(name=role, claim=claim[1])
        return Folder(path=volume.mount_path + claim[3], volume=volume)
    if _BUCKET.fullmatch(text):
        return Folder(path=text, volume=None)
    raise LaunchError(
        f"{flag} must be pvc://CLAIM/FOLDER, a folder of a persistent volume claim, or "
        f"gs://BUCKET/FOLDER, got {text!r}; a folder of this machine is in no pod"
    )


def volumes_of(*folders: Folder | None) -> tuple[Volume, ...]:
    """The volumes behind the folders; one for all folders of one claim."""
    found: dict[str, Volume] = {}
    for place in folders:
        if place and place.volume:
            found.setdefault(place.volume.claim, place.volume)
    return tuple(found.values())
