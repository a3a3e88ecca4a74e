"""Watching a folder of images without labels."""

from etils import epath

from trainer.cluster import tf_config
from trainer.commands.command_line import CommandLine
from trainer.exit_codes import DONE
from trainer.progress import folded


def run(line: CommandLine) -> int:
    """Trains and registers a student whenever enough images have come."""
    # Loads NumPy.
    from trainer import watch

    settings = line.settings()
    path = line.workdir()
    watch.refuse_cluster(tf_config.read())
    watch.run(settings, path, is_once=line.flags.once)
    return show(path)


def redraw(path: epath.Path) -> int:
    """Draws the page of the watch in `path` again, and prints what came of it."""
    from trainer import watch

    watch.redraw(path)
    return show(path)


def show(path: epath.Path) -> int:
    """Prints what came of each batch of images in `path`."""
    from trainer import watch

    folded.show(watch.outcome(path))
    return DONE
