"""A first config for data of a user's own."""

import os
import shlex

from etils import epath

from trainer import console
from trainer.commands.command_line import CommandLine, UsageError
from trainer.config import places
from trainer.exit_codes import DONE
from trainer.storage import files


def write(line: CommandLine) -> int:
    """Writes a commented TOML file for a dataset, and says what to run next.

    Raises:
      UsageError: the file is there already.
    """
    [word] = line.words
    file = line.flags.config
    if file:
        _refuse_existing(file)
    # Loads TensorFlow.
    from trainer import draft

    dataset = places.dataset_of(word)
    name = draft.name_of(dataset)
    if not file:
        file = f"{name}.toml"
        _refuse_existing(file)
    found = draft.draft(dataset, line.overrides, name=name)
    path = epath.Path(places.expand_home(file))
    with files.atomic_path(path, hint="name another by --config") as temporary:
        temporary.write_text(found.text, encoding="utf-8")
    workdir = line.flags.workdir or f"runs/{name}"
    flags = shlex.join([f"--config={file}", f"--workdir={workdir}"])
    print(
        console.as_started(
            f"{found.summary}\n"
            f"{file} is written: read it, then\n\n"
            f"  python -m trainer doctor {flags}    # can it be done here, how fast\n"
            f"  python -m trainer run {flags}"
        )
    )
    return DONE


def _refuse_existing(file: str) -> None:
    if os.path.lexists(places.expand_home(file)):
        raise UsageError(
            f"--config must name a new file, got {file!r}, which is there; name "
            "another, or remove it"
        )
