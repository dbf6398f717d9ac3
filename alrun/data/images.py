"""Pictures that stay encoded until somebody looks at them."""

import io
from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path

import numpy as np

from ..errors import UserError

SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp", ".tif", ".tiff")
FORMATS = ("PNG", "JPEG", "BMP", "GIF", "WEBP", "TIFF")


class Images(Sequence):
    """Encoded pictures, as bytes or as files: `images[row]` decodes one to uint8 (H, W) grey or (H, W, 3) colour."""

    def __init__(self, encoded: Sequence[bytes | Path]) -> None:
        self.encoded = encoded

    def __len__(self) -> int:
        return len(self.encoded)

    def __getitem__(self, row):  # type: ignore[override]
        from PIL import Image

        one = self.encoded[row]
        try:
            with Image.open(io.BytesIO(one) if isinstance(one, bytes) else one, formats=FORMATS) as picture:
                return np.asarray(picture.convert("L" if picture.mode in ("1", "L") else "RGB"))
        except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
            where = f" ({one})" if isinstance(one, Path) else ""
            raise UserError(
                f"the image in row {row}{where} cannot be read: {str(error).splitlines()[0]}",
                f"alrun reads {', '.join(FORMATS)}: repair it or take the row out",
            ) from error

    def digests(self) -> list[bytes]:
        """One 16-byte hash per encoded picture."""
        return [sha256(one if isinstance(one, bytes) else one.read_bytes()).digest()[:16] for one in self.encoded]


class Joined(Sequence):
    """One sequence after another, without a copy."""

    def __init__(self, first: Sequence, second: Sequence) -> None:
        self.first, self.second = first, second

    def __len__(self) -> int:
        return len(self.first) + len(self.second)

    def __getitem__(self, row):  # type: ignore[override]
        return self.first[row] if row < len(self.first) else self.second[row - len(self.first)]


def stack(images: Images) -> np.ndarray:
    """All pictures as one uint8 array (n, H, W) or (n, H, W, 3); they must have one size."""
    first = images[0]
    whole = np.empty((len(images), *first.shape), np.uint8)
    for row in range(len(images)):
        one = images[row]
        if one.shape != first.shape:
            raise UserError(
                f"the image in row 0 is {first.shape}, the one in row {row} is {one.shape}: raw pixels need one size",
                "encoder=hub or encoder=efficientnet scales them",
            )
        whole[row] = one
    return whole
