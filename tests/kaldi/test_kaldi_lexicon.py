"""Kaldi's lexicons in all their forms give the same entries."""

from pathlib import Path

import pytest
from kaldi_files import run

from asr_kd.cli import import_kaldi_lexicon
from asr_kd.errors import LexiconError
from asr_kd.kaldi.lexicon import import_lexicon
from asr_kd.lang.lexicon import load_lexicon

PLAIN = "!SIL SIL\n<UNK> SPN\nAB A B\nAB A C\nCD C D\n"
PROBABILITIES = "!SIL 1.0 SIL\n<UNK>\t1.0\tSPN\nAB 0.7 A B\nAB 1.0 A C\nCD 1.0 C D\n"
SILENCE_TOO = "!SIL 1.0 0.4 1.0 1.0 SIL\n<UNK> 1 0.4 1 1 SPN\nAB 0.7 0.3 1 1 A B\nAB 1.0 1 1 1 A C\nCD 1 1 1 1 C D\n"
MARKED = "<eps> <eps> SIL\n!SIL !SIL SIL_S\n<UNK> <UNK> SPN_S\nAB AB A_B B_E\nAB AB A_B C_E\nCD CD C_B D_E\n"
ENTRIES = (("<UNK>", ("SPN",)), ("AB", ("A", "B")), ("AB", ("A", "C")), ("CD", ("C", "D")))


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("lexicon.txt", PLAIN),
        ("lexiconp.txt", PROBABILITIES),
        ("lexiconp_silprob.txt", SILENCE_TOO),
        ("phones/align_lexicon.txt", MARKED),
    ],
)
def test_every_form_gives_the_same_entries(tmp_path: Path, name: str, content: str) -> None:
    (tmp_path / "phones").mkdir()
    (tmp_path / name).write_text(content)
    for path in (tmp_path, tmp_path / name):
        lexicon, silence = import_lexicon(path)
        assert lexicon.entries == ENTRIES
        assert silence == "SIL"


def test_probabilities_are_left_out_with_a_warning(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "lexiconp.txt").write_text(PROBABILITIES)
    import_lexicon(tmp_path)
    assert any(record.levelname == "WARNING" and "probabilities" in record.message for record in caplog.records)


def test_the_silence_phone_is_that_of_the_directory(tmp_path: Path) -> None:
    (tmp_path / "lexicon.txt").write_text("<SIL> sil\nA a\nA a\nB sil b\n")
    (tmp_path / "optional_silence.txt").write_text("sil\n")
    run(import_kaldi_lexicon, tmp_path, tmp_path / "made")
    assert load_lexicon(tmp_path / "made/lexicon.txt").entries == (("A", ("a",)), ("B", ("sil", "b")))


def test_a_malformed_line_is_named(tmp_path: Path) -> None:
    for name, content, complaint in [
        ("lexiconp.txt", "A 1.0 A\nB B B\n", r"lexiconp\.txt:2: expected a word, 1 probabilities"),
        ("lexicon.txt", "A\n", r"lexicon\.txt:1: the word 'A' has no phones"),
        ("lexicon.txt", "!SIL SIL\n", "no entries"),
    ]:
        (tmp_path / name).write_text(content)
        with pytest.raises(LexiconError, match=complaint):
            import_lexicon(tmp_path / name)
    with pytest.raises(LexiconError, match="no lexicon there"):
        import_lexicon(tmp_path / "nothing")
