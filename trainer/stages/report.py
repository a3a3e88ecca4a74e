"""The report stage: figures and one HTML page from the files of the workdir."""

from trainer import report as pages
from trainer.session import Session
from trainer.storage import files
from trainer.storage.workdir import TENSORBOARD
from trainer.train import tensorboard


def report(session: Session) -> None:
    """Writes report/index.html and its figures, where matplotlib is installed.

    TensorBoard gets the figures too, where that is installed. The chief draws.
    """
    if not session.devices.workers.is_chief:
        return
    if pages.is_drawable():
        folder = pages.write(session.path).parent
        if tensorboard.is_installed():
            figures = tensorboard.EventFile(folder / TENSORBOARD)
            drawn = sorted(files.list_folder(folder))
            figures.add_images(path for path in drawn if path.suffix == ".png")
            figures.flush()
    else:
        pages.tell_undrawn()
