"""Symbol tables: Kaldi's numbering, and files that are read back the same."""

from pathlib import Path

import pytest

from asr_kd.errors import LexiconError
from asr_kd.lang.lexicon import Lexicon
from asr_kd.lang.symbols import load_symbols, phone_symbols, save_symbols, word_symbols


def test_words_are_numbered_after_epsilon_and_before_the_reserved_symbols(tmp_path: Path) -> None:
    table = word_symbols(Lexicon((("B", ("x",)), ("A", ("x",)), ("B", ("y",)))))
    assert table.symbols == ("<eps>", "A", "B", "#0", "<s>", "</s>")
    assert [table.id(symbol) for symbol in table.symbols] == list(range(6))
    save_symbols(table, tmp_path / "words.txt")
    assert (tmp_path / "words.txt").read_text().splitlines()[1] == "A 1"
    assert load_symbols(tmp_path / "words.txt") == table


def test_phones_end_with_the_disambiguation_symbols() -> None:
    assert phone_symbols(("SIL", "x"), 2).symbols == ("<eps>", "SIL", "x", "#0", "#1")


@pytest.mark.parametrize("text", ["<eps> 0\nA 2\n", "<eps> 0\nA\n", "<eps> 0\nA B 1\n"])
def test_a_table_with_gaps_or_wrong_columns_is_refused_with_its_line(tmp_path: Path, text: str) -> None:
    path = tmp_path / "words.txt"
    path.write_text(text)
    with pytest.raises(LexiconError, match=":2: expected a symbol and the number 1"):
        load_symbols(path)
