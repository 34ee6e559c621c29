"""Kaldi archives: entries of a key and an object, and the scp file that says where each one is.

Legend: T frames of one utterance, P pdfs, K pairs of one frame.
"""

import gzip
import io
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path

import kaldiio
import numpy as np

from asr_kd.errors import DataError
from asr_kd.kaldi.object_reader import BINARY

_GZIP = b"\x1f\x8b"
_SIZED_INT = np.dtype([("size", "u1"), ("value", "<i4")])
_PAIR = np.dtype([("id_size", "u1"), ("id", "<i4"), ("weight_size", "u1"), ("weight", "<f4")])
# Kaldi's "TwoByteAuto": 16 bits a number between the matrix' smallest and greatest.
_TWO_BYTES = 3


def read_integer_archive(path: Path) -> Iterator[tuple[str, np.ndarray]]:
    """Each key with its vector of int32, as in ``ali.1.gz``; binary or text form, gzipped or not.

    The archive is taken apart here and not by kaldiio, which reads number by number and goes back in a gzip stream.

    Raises:
        DataError: a file that is missing, truncated, or holds something else.
    """
    if not path.is_file():
        raise DataError(f"{path}: no such file")
    data = path.read_bytes()
    try:
        data = gzip.decompress(data) if data[:2] == _GZIP else data
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"{path}: damaged gzip file ({error}); copy it anew") from error
    head = data.find(b" ")
    if data[head + 1 : head + 3] == BINARY:
        yield from _binary_vectors(data, path)
    else:
        yield from _text_vectors(data, path)


def _binary_vectors(data: bytes, path: Path) -> Iterator[tuple[str, np.ndarray]]:
    place = 0
    while place < len(data):
        begin = data.find(b" ", place) + 1
        key = data[place : begin - 1].decode("utf-8", "replace")
        if not begin or data[begin : begin + 3] != BINARY + b"\x04" or len(data) < begin + 7:
            raise DataError(f"{path}: at byte {place}: not a vector of int32; expected alignments as in ali.1.gz")
        count = int.from_bytes(data[begin + 3 : begin + 7], "little", signed=True)
        place = begin + 7 + _SIZED_INT.itemsize * count
        if count < 0 or place > len(data):
            raise DataError(f"{path}: '{key}' is cut off; copy the file anew")
        yield key, np.frombuffer(data, _SIZED_INT, count, begin + 7)["value"].copy()


def _text_vectors(data: bytes, path: Path) -> Iterator[tuple[str, np.ndarray]]:
    for number, line in enumerate(data.splitlines(), 1):
        fields = line.split()
        if fields:
            try:
                yield fields[0].decode("utf-8"), np.array([int(field) for field in fields[1:]], dtype=np.int32)
            except (ValueError, OverflowError) as error:
                raise DataError(f"{path}:{number}: expected '<utterance> <id> <id> ...' ({error})") from error


def write_archive(directory: Path, name: str, entries: Iterable[tuple[str, bytes]], *, final: Path) -> int:
    """Write ``NAME.ark`` and ``NAME.scp``; returns the number of entries.

    Args:
        entries: keys and the encoded objects, in order.
        final: where ``directory`` will be when it is finished, which the scp names.
    """
    ark = final.resolve() / f"{name}.ark"
    count = 0
    with (directory / f"{name}.ark").open("wb") as file, (directory / f"{name}.scp").open("w", encoding="utf-8") as scp:
        for key, encoded in entries:
            file.write(f"{key} ".encode())
            scp.write(f"{key} {ark}:{file.tell()}\n")
            file.write(encoded)
            count += 1
    return count


def encode_matrix(matrix: np.ndarray, *, compress: bool = False) -> bytes:
    """A matrix of float32, or with 16 bits a number."""
    buffer = io.BytesIO()
    kaldiio.save_mat(buffer, np.ascontiguousarray(matrix), compression_method=_TWO_BYTES if compress else None)
    return buffer.getvalue()


def encode_integers(values: np.ndarray) -> bytes:
    """A vector of int32, as in ``ali.1.gz``."""
    rows = np.empty(len(values), dtype=_SIZED_INT)
    rows["size"], rows["value"] = 4, values
    return BINARY + _sized(len(values)) + rows.tobytes()


def encode_posterior(counts_T: np.ndarray, ids: np.ndarray, weights: np.ndarray) -> bytes:
    """A ``Posterior``: of each frame, pairs of an id and its weight.

    Args:
        counts_T: number of pairs of each frame; the frames' pairs follow one another in ``ids`` and ``weights``.
    """
    pairs = np.empty(len(ids), dtype=_PAIR)
    pairs["id_size"], pairs["id"], pairs["weight_size"], pairs["weight"] = 4, ids, 4, weights
    raw, ends = pairs.tobytes(), np.cumsum(counts_T) * _PAIR.itemsize
    frames = [
        _sized(count) + raw[end - count * _PAIR.itemsize : end]
        for count, end in zip(counts_T.tolist(), ends.tolist(), strict=True)
    ]
    return BINARY + _sized(len(frames)) + b"".join(frames)


def posterior_line(key: str, counts_T: np.ndarray, ids: np.ndarray, weights: np.ndarray) -> str:
    """The same as a line of a text archive: ``<key> [ <id> <weight> ... ] [ ... ] ...``."""
    pairs = [f"{number} {weight:.6g} " for number, weight in zip(ids.tolist(), weights.tolist(), strict=True)]
    ends = np.cumsum(counts_T).tolist()
    frames = [f"[ {''.join(pairs[end - count : end])}] " for count, end in zip(counts_T.tolist(), ends, strict=True)]
    return f"{key} {''.join(frames)}\n"


def _sized(value: int) -> bytes:
    return b"\x04" + int(value).to_bytes(4, "little", signed=True)
