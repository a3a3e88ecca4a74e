"""Images that came to a folder since its list was made."""

import os

import tensorflow as tf
from etils import epath

from trainer.config import DataConfig, places
from trainer.data import file_list
from trainer.data.decode import reason
from trainer.data.examples import DataError
from trainer.data.layout import is_folder, layout_of
from trainer.data.signature import Signature, signature
from trainer.data.unlabeled import parts
from trainer.storage import files


def find_new_files(data: DataConfig, index_dir: epath.Path) -> dict[str, Signature]:
    """The images of data.unlabeled that its list in `index_dir` lacks, by path.

    None are in a folder that is not there yet.

    Raises:
      DataError: the folder cannot be read, its images lie at different depths, or it is
        beside the config file and not where the config says.
    """
    part, kept = parts(data, index_dir)[-1]
    root = part.path
    if not is_folder(root) and not places.beside_config(root):
        return {}
    name = part.splits[part.learned_from]
    images = layout_of(part, may_be_empty=True).images
    path = file_list.list_path(kept, name)
    known = set(file_list.read(path).paths) if files.exists(path) else set()
    found = {
        image: _signature(os.path.join(root, image))
        for image in images.get(name, {})
        if image not in known
    }
    return {image: signature for image, signature in found.items() if signature}


def _signature(path: str) -> Signature | None:
    """None of a file that has gone since it was found."""
    try:
        return signature(path)
    except tf.errors.NotFoundError:
        return None
    except tf.errors.OpError as error:
        raise DataError(
            f"{path} must be a file that can be read, got an error: {reason(error)}; "
            "mend it or remove it from the folder"
        ) from error
