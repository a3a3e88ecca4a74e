"""The git revision of this code, where it has one."""

import pathlib
import subprocess

_SECS = 30


def revision() -> dict[str, object] | None:
    """{"revision": the commit, "is_changed": whether files differ from it}, or None.

    Files that git does not track, as of an installed package inside another project,
    have none.
    """
    folder = pathlib.Path(__file__).parents[1]
    if _git(folder, "ls-files", "--error-unmatch", "__init__.py") is None:
        return None
    commit = _git(folder, "rev-parse", "HEAD")
    changes = _git(folder, "status", "--porcelain", "--untracked-files=no")
    if commit is None or changes is None:
        return None
    return {"revision": commit, "is_changed": bool(changes)}


def _git(folder: pathlib.Path, *words: str) -> str | None:
    try:
        done = subprocess.run(
            ["git", "-C", str(folder), *words],
            capture_output=True,
            text=True,
            timeout=_SECS,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()
