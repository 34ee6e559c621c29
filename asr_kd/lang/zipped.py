"""Files that may be gzipped: the lines of one, and the writing of one that is the same byte for byte each time."""

import gzip
import io
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, cast

from asr_kd.errors import GrammarError

_GZIP = b"\x1f\x8b"


@contextmanager
def reading(path: Path, expected: str) -> Iterator[BinaryIO]:
    """The bytes of a file, unpacked where it is gzipped.

    Args:
        path: the file; what it begins with, not its name, tells whether it is gzipped.
        expected: what it should have been, for the error.

    Raises:
        GrammarError: it is absent, a directory, cannot be read, or is a gzip file that is damaged or truncated.
    """
    try:
        with path.open("rb") as file:
            zipped = file.read(2) == _GZIP
            file.seek(0)
            # A gzip file hands out its lines several times faster through a buffer.
            yield io.BufferedReader(cast(io.RawIOBase, gzip.GzipFile(fileobj=file)), 1 << 20) if zipped else file
    except EOFError as error:
        raise GrammarError(f"{path}: the gzip file is truncated; fetch it again") from error
    except (gzip.BadGzipFile, zlib.error) as error:
        raise GrammarError(f"{path}: the gzip file is damaged ({error}); fetch it again") from error
    except FileNotFoundError as error:
        raise GrammarError(f"{path}: no such file; expected {expected}") from error
    except OSError as error:
        raise GrammarError(f"{path}: {error.strerror or error}; expected {expected}") from error


@contextmanager
def writing(path: Path) -> Iterator[BinaryIO]:
    """A file to write bytes to, gzipped where its name ends in ``.gz``, without name and time in the gzip header."""
    with path.open("wb") as file:
        if path.suffix == ".gz":
            with gzip.GzipFile(filename="", fileobj=file, mode="wb", compresslevel=4, mtime=0) as packed:
                yield cast(BinaryIO, packed)
        else:
            yield file
