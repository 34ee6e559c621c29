"""MNIST's idx files: 60,000 + 10,000 images of handwritten digits, 28 x 28 bytes, and their labels."""

import gzip
import hashlib
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from asr_kd.errors import DataError

# SHA-256 of each file's content, unpacked.
SHA256 = {
    "train-images-idx3-ubyte": "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
    "train-labels-idx1-ubyte": "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
    "t10k-images-idx3-ubyte": "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
    "t10k-labels-idx1-ubyte": "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
}
NUM_CLASSES = 10
_UNSIGNED_BYTE = 8


@dataclass(frozen=True, kw_only=True, eq=False)
class Images:
    """Images in the order of their file.

    Attributes:
        pixels: ``[N, rows, columns]`` uint8, 0 is the background.
        digits: ``[N]`` uint8.
    """

    pixels: np.ndarray
    digits: np.ndarray


def load_mnist(folder: Path, checksums: Mapping[str, str] | None = SHA256) -> tuple[Images, Images]:
    """The training images and the test images.

    Args:
        folder: holds the four files, packed (``.gz``) or not.
        checksums: of each file's unpacked content; None accepts any.

    Raises:
        DataError: a file is missing, damaged, not an idx file of bytes, or not MNIST's.
    """
    train, test = (_load(folder, part, checksums) for part in ("train", "t10k"))
    return train, test


def read_idx(content: bytes, where: str) -> np.ndarray:
    """The array of bytes in an idx file: two zeros, type, number of axes, each axis' size (int32, big-endian), data.

    Raises:
        DataError: it is not such a file, or is cut short.
    """
    if len(content) < 4 or content[:2] != b"\0\0" or content[2] != _UNSIGNED_BYTE:
        raise DataError(f"{where}: not an idx file of bytes")
    header = 4 + 4 * content[3]
    shape = tuple(np.frombuffer(content[4:header], dtype=">i4").tolist())
    if len(content) != header + int(np.prod(shape)):
        raise DataError(f"{where}: {len(content)} bytes, expected {header} and {' x '.join(map(str, shape))}")
    return np.frombuffer(content, dtype=np.uint8, offset=header).reshape(shape)


def _load(folder: Path, part: str, checksums: Mapping[str, str] | None) -> Images:
    names = f"{part}-images-idx3-ubyte", f"{part}-labels-idx1-ubyte"
    pixels, digits = (_read(folder, name, None if checksums is None else checksums[name]) for name in names)
    if pixels.ndim != 3 or digits.ndim != 1 or len(pixels) != len(digits) or digits.max(initial=0) >= NUM_CLASSES:
        raise DataError(f"{folder}: {names[0]} and {names[1]} do not hold images and one digit for each")
    return Images(pixels=pixels, digits=digits)


def _read(folder: Path, name: str, checksum: str | None) -> np.ndarray:
    packed, plain = folder / f"{name}.gz", folder / name
    path = packed if packed.exists() else plain
    try:
        content = gzip.decompress(path.read_bytes()) if path is packed else path.read_bytes()
    except FileNotFoundError as error:
        raise DataError(f"{folder}: holds neither {name}.gz nor {name}; expected MNIST's four idx files") from error
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"{path}: cannot unpack it ({error}); fetch it again") from error
    found = hashlib.sha256(content).hexdigest()
    if checksum is not None and found != checksum:
        raise DataError(f"{path}: SHA-256 of its content is {found}, expected {checksum}; fetch it again")
    return read_idx(content, str(path))
