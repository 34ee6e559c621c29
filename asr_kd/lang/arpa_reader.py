"""The text of an ARPA file, read section by section into arrays, every mistake named with its line.

The format: ``\\data\\``, lines ``ngram 1=COUNT``, then for each order ``\\1-grams:`` and lines of the base-10 logarithm
of a probability, the words and, where it is a history of longer n-grams, the base-10 logarithm of its back-off weight;
at last ``\\end\\``. Legend: K n-grams, O words of each.
"""

import itertools
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

import numpy as np

from asr_kd.errors import GrammarError
from asr_kd.lang.zipped import reading

_CHUNK = 1 << 17  # lines
_COUNT = re.compile(rb"ngram\s+(\d+)\s*=\s*(\d+)")
_MOST = 0.001  # some programs round the logarithm of 1 to a little more than 0


@dataclass(frozen=True)
class ArpaNgrams:
    """The n-grams of one order, as the file has them.

    Attributes:
        order: how many words each has.
        line: the line of the first; the others follow line by line.
        words: of order 1 the words, numbered by their place; else empty.
        numbers_KO: the number of each word of each n-gram.
    """

    order: int
    line: int
    words: tuple[str, ...]
    numbers_KO: np.ndarray
    log10_K: np.ndarray
    backoff_log10_K: np.ndarray


def read_arpa(path: Path) -> list[ArpaNgrams]:
    """The n-grams of all orders.

    Raises:
        GrammarError: with file and line: the file is not what the format says.
    """
    with reading(path, "an ARPA file, gzipped or not") as file:
        lines = _Lines(path, iter(file))
        counts = _counts(lines)
        numbers: dict[bytes, int] = {}
        sections = [_section(lines, order, count, numbers) for order, count in enumerate(counts, 1)]
        lines.skip_blank()
        if lines.line.strip() != b"\\end\\":
            lines.fail("expected \\end\\")
    return sections


class _Lines:
    """The lines of a file, with the number of the last one taken."""

    def __init__(self, path: Path, lines: Iterator[bytes]) -> None:
        self.path = path
        self.number = 0
        self.line = b""
        self._lines = lines

    def take(self) -> bool:
        self.line = next(self._lines, b"")
        self.number += 1
        return bool(self.line)

    def skip_blank(self) -> None:
        while self.take() and not self.line.strip():
            pass

    def chunk(self, size: int) -> list[bytes]:
        taken = list(itertools.islice(self._lines, size))
        self.number += len(taken)
        return taken

    def fail(self, what: str) -> NoReturn:
        found = f"'{self.line.decode(errors='replace').strip()}'" if self.line else "the end of the file"
        raise GrammarError(f"{self.path}:{self.number}: {what}, found {found}")


def _counts(lines: _Lines) -> list[int]:
    """How many n-grams of each order the file says it has; it may begin with any text."""
    while lines.line.strip() != b"\\data\\":
        if not lines.take():
            raise GrammarError(f"{lines.path}: no line \\data\\ in it; expected an ARPA file, gzipped or not")
    counts: list[int] = []
    while lines.take() and not lines.line.startswith(b"\\1"):
        if not lines.line.strip():
            continue
        match = _COUNT.match(lines.line)
        if match is None or int(match[1]) != len(counts) + 1:
            lines.fail(f"expected 'ngram {len(counts) + 1}=COUNT'")
        counts.append(int(match[2]))
    if not counts or not counts[0]:
        lines.fail("expected 'ngram 1=COUNT' with words")
    return counts


def _section(lines: _Lines, order: int, count: int, numbers: dict[bytes, int]) -> ArpaNgrams:
    if not lines.line.strip():
        lines.skip_blank()
    if lines.line.strip() != b"\\%d-grams:" % order:
        lines.fail(f"expected \\{order}-grams:")
    first = lines.number + 1
    log10_K, backoff_log10_K = np.empty(count), np.empty(count)
    numbers_KO = np.empty((count, order), np.int64)
    for start in range(0, count, _CHUNK):
        size = min(_CHUNK, count - start)
        taken = lines.chunk(size)
        fields = _fields(lines.path, first + start, taken, order)
        if order == 1:
            _number(lines.path, first + start, fields, numbers)
        rows = slice(start, start + len(taken))
        log10_K[rows], backoff_log10_K[rows] = _weights(lines.path, first + start, fields, order)
        numbers_KO[rows] = _words(lines.path, first + start, fields, order, numbers)
        if len(taken) < size:
            lines.take()
            lines.fail(f"expected {count} {order}-grams")
    lines.take()
    words = tuple(word.decode() for word in numbers) if order == 1 else ()
    return ArpaNgrams(order, first, words, numbers_KO, log10_K, backoff_log10_K)


def _fields(path: Path, first: int, lines: Sequence[bytes], order: int) -> list[list[bytes]]:
    rows = [line.split() for line in lines]
    for place, row in enumerate(rows):
        if not order < len(row) <= order + 2:
            expected = "a probability, a word" if order == 1 else f"a probability, {order} words"
            found = lines[place].decode(errors="replace").strip()
            raise GrammarError(f"{path}:{first + place}: expected {expected} and a back-off weight, found '{found}'")
    return rows


def _number(path: Path, first: int, rows: Sequence[Sequence[bytes]], numbers: dict[bytes, int]) -> None:
    """Number the words of 1-grams in the file's order."""
    for place, row in enumerate(rows):
        if row[1] in numbers:
            raise GrammarError(f"{path}:{first + place}: the word '{row[1].decode(errors='replace')}' a second time")
        numbers[row[1]] = len(numbers)
    try:
        b" ".join(row[1] for row in rows).decode()
    except UnicodeDecodeError as error:
        raise GrammarError(f"{path}: not UTF-8 in lines {first} to {first + len(rows) - 1}; convert it") from error


def _weights(path: Path, first: int, rows: Sequence[Sequence[bytes]], order: int) -> tuple[np.ndarray, np.ndarray]:
    """The logarithms of probability and back-off weight of each row; a weight left out is 1."""
    try:
        log10_K = np.array([row[0] for row in rows], "S").astype(np.float64)
        backoff_K = np.array([row[-1] if len(row) > order + 1 else b"0" for row in rows], "S").astype(np.float64)
        wrong_K = ~(log10_K <= _MOST) | ~(backoff_K < np.inf)
    except ValueError:
        wrong_K = np.array([not (_is_number(row[0]) and (len(row) < order + 2 or _is_number(row[-1]))) for row in rows])
    if wrong_K.any():
        place = int(wrong_K.argmax())
        found = b" ".join(rows[place]).decode(errors="replace")
        raise GrammarError(f"{path}:{first + place}: expected the logarithm of a probability first, found '{found}'")
    return log10_K, backoff_K


def _is_number(word: bytes) -> bool:
    try:
        float(word)
    except ValueError:
        return False
    return True


def _words(
    path: Path, first: int, rows: Sequence[Sequence[bytes]], order: int, numbers: dict[bytes, int]
) -> np.ndarray:
    """The numbers of each row's words, int64 [K, O]."""
    try:
        found = [[numbers[word] for word in row[1 : order + 1]] for row in rows]
    except KeyError as error:
        place = next(k for k, row in enumerate(rows) if error.args[0] in row[1 : order + 1])
        word = error.args[0].decode(errors="replace")
        raise GrammarError(f"{path}:{first + place}: the word '{word}' is not among the 1-grams") from error
    return np.array(found, np.int64).reshape(-1, order)
