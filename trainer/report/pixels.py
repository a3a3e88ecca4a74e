"""Small images inside a page, as addresses that hold their own data."""

import base64
import io

import numpy as np
from PIL import Image  # which matplotlib needs too

_QUALITY = 82


def data_address(image: np.ndarray) -> str:
    """The image uint8 [H, W, 1, 3 or 4] as WebP, or as PNG where that is smaller."""
    shown = Image.fromarray(image.squeeze(-1) if image.shape[-1] == 1 else image)
    found = [_encode(shown, "png", optimize=True)]
    if image.shape[-1] != 4:
        found.append(_encode(shown, "webp", quality=_QUALITY, method=6))
    kind, content = min(found, key=lambda each: len(each[1]))
    return f"data:image/{kind};base64,{base64.b64encode(content).decode('ascii')}"


def _encode(image: Image.Image, kind: str, **options: object) -> tuple[str, bytes]:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return kind, file.getvalue()
