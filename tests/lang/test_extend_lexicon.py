"""`asr-kd extend-lexicon`: words of a text get pronunciations as the lexicon's own have."""

import importlib.util
import json
import os
from itertools import product
from pathlib import Path
from typing import Any

import pytest

from asr_kd.cli import extend_lexicon
from asr_kd.errors import LexiconError, StaleError
from asr_kd.lang import g2p
from asr_kd.lang.lexicon import Lexicon, load_lexicon
from asr_kd.options import parse

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("phonetisaurus") is None, reason="the optional extra 'g2p' is not installed"
)

# A spelling with a rule: SH is one sound, every other letter is its own, also one that is not of ASCII.
SOUNDS = {"SH": ("sh_1",), "A": ("a",), "É": ("i|",), "T": ("t",), "S": ("s",)}
WORDS = ["".join(parts) for parts in product(("SH", "T", "S"), ("A", "É"), ("SH", "T", "S"), ("A", "É"))]
NEW = "SHATÉSHAS"


def said(word: str) -> tuple[str, ...]:
    return () if not word else (*SOUNDS[head := "SH" if word[:2] == "SH" else word[0]], *said(word[len(head) :]))


def run(*words: Any) -> Path:
    options = parse(extend_lexicon.Options, [str(word) for word in words], command="extend-lexicon", description="")
    extend_lexicon.run(options)
    return options.out


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    lines = [" ".join((word, *said(word))) for word in WORDS]
    (tmp_path / "lexicon.txt").write_text("\n".join(["<unk> SPN", "[noise] NSN", *lines]) + "\n")
    (tmp_path / "book.txt").write_text(
        f"{WORDS[0]} {NEW} TÉTÉTÉ <unk>\n{NEW} TÉTÉTÉ {NEW} SA\u0414A SA\u0414A A|A A|A\n"
    )
    return tmp_path


def test_frequent_words_are_said_by_the_lexicons_rule(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    data = folder / "data"
    data.mkdir()
    (data / "text").write_text("u1 SHASHA TATATA\n")
    (folder / "book.txt").write_text((folder / "book.txt").read_text() + "TATATA\n")
    out = run(folder / "lexicon.txt", folder / "book.txt", data, folder / "out")
    old, new = load_lexicon(folder / "lexicon.txt"), load_lexicon(out / "lexicon.txt")
    assert new.entries[: len(old.entries)] == old.entries
    # Once in the book and once in the transcripts is twice; what has letters of its own is left out.
    assert new.entries[len(old.entries) :] == tuple((word, said(word)) for word in (NEW, "TATATA", "TÉTÉTÉ"))
    assert new.phones == old.phones
    report = json.loads((out / "report.json").read_text())
    assert report["added"] == 3 and report["left_out"] == ["A|A", "SA\u0414A"]
    assert report["held_out"]["words"] == report["held_out"]["right"] == 2
    assert "2 words are left out" in caplog.text


def test_a_lexicon_of_a_few_words_spares_none_to_be_held_out(folder: Path) -> None:
    (folder / "few.txt").write_text("<unk> SPN\nSA s a\n")
    out = run(folder / "few.txt", folder / "book.txt", folder / "out", "--min-count", 1)
    assert json.loads((out / "report.json").read_text())["held_out"] == {"words": 0, "right": 0}


def test_rare_words_stay_unknown(folder: Path) -> None:
    lexicon = load_lexicon(
        run(folder / "lexicon.txt", folder / "book.txt", folder / "out", "--min-count", 3) / "lexicon.txt"
    )
    assert NEW in lexicon and "TÉTÉTÉ" not in lexicon


def test_another_text_is_refused_and_a_lexicon_that_cannot_be_learnt_from_leaves_nothing(folder: Path) -> None:
    run(folder / "lexicon.txt", folder / "book.txt", folder / "out")
    (folder / "book.txt").write_text(f"{NEW} {NEW}\n")
    with pytest.raises(StaleError, match="text 1"):
        run(folder / "lexicon.txt", folder / "book.txt", folder / "out")
    (folder / "mute.txt").write_text("<unk> SPN\n")
    with pytest.raises(LexiconError, match="aligned"):
        run(folder / "mute.txt", folder / "book.txt", folder / "none")
    assert not list(folder.glob("none*"))


def test_another_package_of_that_name_counts_as_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(g2p.importlib.util, "find_spec", lambda name: importlib.util.spec_from_loader(name, None))
    with pytest.raises(ModuleNotFoundError):
        g2p.pronounce(Lexicon((("A", ("a",)),)), ["AA"], order=2)


def test_most_words_of_a_real_lexicon_are_said_right() -> None:
    corpora = os.environ.get("ASR_KD_CORPORA")
    if not corpora or not (path := Path(corpora) / "librispeech47/lexicon.txt").is_file():
        pytest.skip("ASR_KD_CORPORA names no folder with librispeech47")
    entries = tuple(entry for entry in load_lexicon(path).entries if entry[0][0] in "DMT")
    accuracy = g2p.held_out_accuracy(Lexicon(entries), order=6, every=20)
    assert accuracy.words > 100
    assert accuracy.right > 0.6 * accuracy.words
