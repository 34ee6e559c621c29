"""Symbol tables: the numbers of words and phones in transducers, Kaldi's ``words.txt`` and ``phones.txt``."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from asr_kd.errors import LexiconError
from asr_kd.lang.lexicon import EPSILON, SENTENCE_END, SENTENCE_START, Lexicon

BACKOFF = "#0"


@dataclass(frozen=True)
class SymbolTable:
    """Symbols numbered from 0 without gaps; number 0 is ``<eps>``."""

    symbols: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.symbols)

    def __getitem__(self, number: int) -> str:
        return self.symbols[number]

    def id(self, symbol: str) -> int:
        """The number of a symbol (KeyError where it has none)."""
        return self._ids[symbol]

    @cached_property
    def _ids(self) -> dict[str, int]:
        return {symbol: number for number, symbol in enumerate(self.symbols)}


def word_symbols(lexicon: Lexicon) -> SymbolTable:
    """``<eps>``, the lexicon's words sorted, then ``#0``, ``<s>`` and ``</s>``."""
    return SymbolTable((EPSILON, *lexicon.words, BACKOFF, SENTENCE_START, SENTENCE_END))


def phone_symbols(phones: Sequence[str], num_disambiguation: int = 0) -> SymbolTable:
    """``<eps>``, the phones as given, then ``#0`` to ``#(num_disambiguation - 1)``."""
    return SymbolTable((EPSILON, *phones, *(f"#{k}" for k in range(num_disambiguation))))


def save_symbols(table: SymbolTable, path: Path) -> None:
    """Write one symbol and its number a line."""
    lines = [f"{symbol} {number}" for number, symbol in enumerate(table.symbols)]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def load_symbols(path: Path) -> SymbolTable:
    """Read what `save_symbols` wrote.

    Raises:
        LexiconError: with file and line: not a symbol with the number that is next.
    """
    symbols = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines()):
        fields = line.split()
        if len(fields) != 2 or fields[1] != str(number):
            raise LexiconError(f"{path}:{number + 1}: expected a symbol and the number {number}, found '{line}'")
        symbols.append(fields[0])
    return SymbolTable(tuple(symbols))
