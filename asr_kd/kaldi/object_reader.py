"""Tokens and numbers of an object that Kaldi wrote, in binary or text form.

A binary file begins with ``\\0B``; a number has a byte before it that says how long it is (https://kaldi-asr.org/doc/io.html).
"""

import re
from pathlib import Path

import numpy as np

from asr_kd.errors import DataError

BINARY = b"\0B"
_WORD = re.compile(rb"\s*(\S+)\s?")
_TOKEN = re.compile(rb"(\S{1,64})\s")
_VECTORS: dict[str, np.dtype] = {"FV": np.dtype("<f4"), "DV": np.dtype("<f8")}


class ObjectReader:
    """Reads one object after the other from a file.

    Args:
        data: the whole file.
        path: its name, for errors.

    Attributes:
        binary: whether the file is in binary form.
    """

    def __init__(self, data: bytes, path: Path) -> None:
        self.binary = data[:2] == BINARY
        self._data, self._path = data, path
        self._place = 2 if self.binary else 0

    @staticmethod
    def open(path: Path) -> "ObjectReader":
        """Read a file.

        Raises:
            DataError: there is none.
        """
        if not path.is_file():
            raise DataError(f"{path}: no such file")
        return ObjectReader(path.read_bytes(), path)

    def token(self) -> str:
        """The next word, such as ``<Topology>``."""
        found = (_TOKEN if self.binary else _WORD).match(self._data, self._place)
        if not found:
            raise self.fault("expected a token")
        self._place = found.end()
        return found[1].decode("ascii", "replace")

    def expect(self, *tokens: str) -> str:
        """The next word, which must be one of these."""
        place, found = self._place, self.token()
        if found not in tokens:
            self._place = place
            raise self.fault(f"expected {' or '.join(tokens)}, found '{found}'")
        return found

    def integer(self) -> int:
        """An int32."""
        return int(self._number(np.dtype("<i4")))

    def real(self) -> float:
        """A float32 or float64."""
        wide = self.binary and self._data[self._place : self._place + 1] == b"\x08"
        return float(self._number(np.dtype("<f8" if wide else "<f4")))

    def integers(self) -> np.ndarray:
        """A vector of int32 in which, in binary form, no number has its length before it."""
        assert self.binary
        self._length_byte(4)
        return self._raw(np.dtype("<i4"), self._count(int(self._raw(np.dtype("<i4"), 1)[0])))

    def vector(self) -> np.ndarray:
        """A vector of floats, float64."""
        if self.binary:
            kind = _VECTORS[self.expect(*_VECTORS)]
            return self._raw(kind, self._count(self.integer())).astype(np.float64)
        self.expect("[")
        begin, end = self._place, self._data.find(b"]", self._place)
        if end < 0:
            raise self.fault("a vector without its ']'")
        self._place = end + 1
        try:
            return np.array(self._data[begin:end].split(), dtype=np.float64)
        except ValueError as error:
            raise self.fault(f"a vector that holds no numbers ({error})") from error

    def fault(self, what: str) -> DataError:
        """An error that names the file and the place."""
        return DataError(f"{self._path}: at byte {self._place}: {what}; is it a whole file that Kaldi wrote?")

    def _number(self, kind: np.dtype) -> float:
        if self.binary:
            self._length_byte(kind.itemsize)
            return float(self._raw(kind, 1)[0])
        place, word = self._place, self.token()
        try:
            return int(word) if kind.kind == "i" else float(word)
        except ValueError as error:
            self._place = place
            raise self.fault(f"expected a number, found '{word}'") from error

    def _length_byte(self, expected: int) -> None:
        if self._data[self._place : self._place + 1] != bytes([expected]):
            raise self.fault(f"expected a number of {expected} bytes")
        self._place += 1

    def _count(self, count: int) -> int:
        if count < 0:
            raise self.fault(f"a vector of {count} numbers")
        return count

    def _raw(self, kind: np.dtype, count: int) -> np.ndarray:
        end = self._place + kind.itemsize * count
        if end > len(self._data):
            raise self.fault("the file ends too early")
        found = np.frombuffer(self._data, kind, count, self._place)
        self._place = end
        return found
