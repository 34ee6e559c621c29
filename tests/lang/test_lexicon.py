"""Lexicons: what is read, what is refused with file and line, and words outside them."""

from pathlib import Path

import pytest

from asr_kd.errors import LexiconError
from asr_kd.lang.lexicon import (
    Lexicon,
    check_words,
    load_lang_lexicon,
    load_lexicon,
    mark_positions,
    save_lang_lexicon,
    save_lexicon,
)


def written(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "lexicon.txt"
    path.write_text(text, encoding="utf-8")
    return path


def test_several_pronunciations_keep_their_order(tmp_path: Path) -> None:
    lexicon = load_lexicon(written(tmp_path, "ZERO Z IH\nOH OW\nZERO Z IY\n"))
    assert lexicon.pronunciations("ZERO") == [("Z", "IH"), ("Z", "IY")]
    assert lexicon.pronunciations("NINE") == []
    assert lexicon.words == ("OH", "ZERO")
    assert lexicon.phones == ("IH", "IY", "OW", "Z")


def test_a_saved_lexicon_is_read_back_the_same(tmp_path: Path) -> None:
    lexicon = Lexicon((("ÄH", ("E:",)), ("A", ("a", "b"))))
    save_lexicon(lexicon, tmp_path / "again.txt")
    assert load_lexicon(tmp_path / "again.txt") == lexicon


@pytest.mark.parametrize(
    ("text", "where", "what"),
    [
        ("ONE W\nTWO\n", ":2:", "no phones"),
        ("ONE W\nTWO T\nONE W\n", ":3:", "same as line 1"),
        ("ONE W\n<eps> W\n", ":2:", "reserved"),
        ("ONE #0\n", ":1:", "reserved"),
        ("<s> W\n", ":1:", "reserved"),
        ("</s> W\n", ":1:", "reserved"),
        ("OEUF 9 f\nONE 1.0 W\n", ":2:", "looks like a probability"),
        ("ONE 4.5e-02 W\n", ":1:", "import-kaldi-lexicon"),
        ("\n\n", "", "no entries"),
    ],
)
def test_a_malformed_lexicon_is_refused_with_its_line(tmp_path: Path, text: str, where: str, what: str) -> None:
    path = written(tmp_path, text)
    with pytest.raises(LexiconError) as caught:
        load_lexicon(path)
    assert str(caught.value).startswith(f"{path}{where}")
    assert what in str(caught.value)


def test_a_lexicon_that_is_not_utf8_or_not_there_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "latin.txt"
    path.write_bytes("GRÜN g\n".encode("latin-1"))
    with pytest.raises(LexiconError, match="not UTF-8"):
        load_lexicon(path)
    with pytest.raises(LexiconError, match="no such file"):
        load_lexicon(tmp_path / "absent.txt")


def test_a_byte_order_mark_is_no_part_of_the_first_word(tmp_path: Path) -> None:
    path = tmp_path / "lexicon.txt"
    path.write_text("ONE W\nTWO T\n", encoding="utf-8-sig")
    assert load_lexicon(path).words == ("ONE", "TWO")


def test_all_missing_words_are_listed_at_once_most_frequent_first() -> None:
    lexicon = Lexicon((("ONE", ("W",)),))
    check_words(lexicon, [("u1", ("ONE", "ONE")), ("u2", ())])
    with pytest.raises(LexiconError) as caught:
        check_words(lexicon, [("u1", ("ONE", "TEN")), ("u2", ("SIX", "TEN", "SIX", "SIX"))])
    assert "2 words" in str(caught.value)
    assert str(caught.value).endswith("SIX (3x, as in u2), TEN (2x, as in u1)")


def test_positions_are_marked_as_in_kaldi_and_silence_is_not() -> None:
    lexicon = Lexicon((("A", ("x",)), ("B", ("x", "y")), ("C", ("x", "y", "z", "SIL", "x")), ("P", ("SIL",))))
    assert [phones for _, phones in mark_positions(lexicon, "SIL").entries] == [
        ("x_S",),
        ("x_B", "y_E"),
        ("x_B", "y_I", "z_I", "SIL", "x_E"),
        ("SIL",),
    ]


def test_a_word_can_stand_for_all_that_the_lexicon_lacks(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    lexicon = Lexicon((("ONE", ("W",)), ("<unk>", ("SPN",))), oov="<unk>")
    with caplog.at_level("INFO"):
        check_words(lexicon, [("u1", ("ONE", "TEN")), ("u2", ("SIX", "TEN"))])
    assert "3 of 4 words are outside the lexicon and stand as <unk>: TEN (2x), SIX (1x)" in caplog.text
    assert lexicon.spoken(("TEN", "ONE")) == ("<unk>", "ONE")
    assert lexicon.recognized == ("ONE",)
    save_lang_lexicon(lexicon, tmp_path)
    assert load_lang_lexicon(tmp_path) == lexicon
    assert mark_positions(lexicon, "SIL").oov == "<unk>"


def test_the_word_for_unknown_ones_must_itself_be_known() -> None:
    with pytest.raises(LexiconError, match="'<unk>' for unknown words is not in the lexicon"):
        Lexicon((("ONE", ("W",)),), oov="<unk>")
