"""`decode`, `rescore`, `make-ctm` and `score` where what is recognised is pieces: all that is compared is words."""

import shutil
from pathlib import Path

import pytest
from test_rescore_command import run
from tone_pipeline import TINY_NET, Pipeline, asr_kd

from asr_kd.cli import make_ctm, rescore
from asr_kd.decode.nbest_file import read_nbest
from asr_kd.errors import MismatchError
from asr_kd.score.decoded import read_decoded, read_text

PIECES = {"▁AB": "A_B B_E", "▁BC": "B_B C_I", "A": "A_E", "▁CD": "C_B D_E", "▁DA": "D_B A_I", "C": "C_E"}


def arpa(path: Path, words: dict[str, float]) -> Path:
    """A 1-gram model: words and their log10 probabilities."""
    rows = "".join(f"{logp} {word}\n" for word, logp in ({"<s>": -99.0, "</s>": -0.7} | words).items())
    path.write_text(f"\\data\\\nngram 1={len(words) + 2}\n\n\\1-grams:\n{rows}\n\\end\\\n")
    return path


@pytest.fixture(scope="module")
def decoded(pipeline: Pipeline, tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("pieces")
    (root / "pieces.txt").write_text("".join(f"{piece} {phones}\n" for piece, phones in PIECES.items()))
    lm = arpa(root / "lm.arpa", {piece: -0.6 if piece.startswith("▁") else -1.5 for piece in PIECES})
    flags = ("--grammar", "arpa", "--arpa", lm, "--lexicon", root / "pieces.txt")
    asr_kd("make-graph", *flags, pipeline.exp / "lang", root / "exp/graph")
    flags = ("--name", "distilled", "--num-best", 20, *pipeline.decoding)
    out = root / "exp/decode/distilled-1"
    asr_kd("decode", *flags, "--", root / "exp/graph", pipeline.exp / "students/distilled-1", out)
    return out


@pytest.fixture(scope="module")
def rescored(decoded: Path) -> Path:
    out = decoded.parent / "distilled+1-gram-1"
    lm = arpa(decoded.parents[2] / "large.arpa", dict.fromkeys(PIECES, -0.7))
    run(rescore, "--old-lm", decoded.parents[2] / "lm.arpa", "--", decoded, lm, out)
    return out


def test_lists_of_pieces_are_rescored_as_pieces_and_judged_as_words(decoded: Path, rescored: Path) -> None:
    lists = read_nbest(decoded / "nbest/test.tsv.gz")
    assert all(set(s.words) <= set(PIECES) for found in lists.values() for s in found)
    before, after = read_decoded(decoded), read_decoded(rescored)
    assert after.info.dev_wer <= before.info.dev_wer < 0.3
    assert after.words.wer < 0.3
    words = read_text(rescored / "hyp.txt")
    assert not any("▁" in word for spoken in words.values() for word in spoken)
    sure = read_text(rescored / "confidence.txt")
    assert {u: len(spoken) for u, spoken in words.items()} == {u: len(found) for u, found in sure.items()}


def test_a_model_of_words_cannot_rescore_pieces(decoded: Path) -> None:
    lm = arpa(decoded.parents[2] / "words.arpa", {"AB": -1.0, "CD": -1.0})
    with pytest.raises(MismatchError, match=r"words\.arpa: a model of words, but the lists are of pieces of words"):
        run(rescore, decoded, lm, decoded.parent / "none")


def test_words_that_no_transcript_has_are_spelled_for_their_times(
    pipeline: Pipeline, decoded: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    exp, data, lang = pipeline.exp, pipeline.tones / "data", tmp_path / "lang"
    asr_kd("make-lang", "--position-dependent-phones=false", data / "train", pipeline.tones / "lexicon.txt", lang)
    few = (*TINY_NET, "--num-rounds", 1, "--num-epochs", 1)
    asr_kd("flat-start", *few, data / "train", lang, exp / "frames/train", tmp_path / "mono")
    joined = Path(shutil.copytree(decoded, tmp_path / "joined"))
    words = read_text(decoded / "hyp.txt")
    last = list(words)[-1]
    new = {utterance: "".join(spoken) for utterance, spoken in words.items()} | {last: "ABX"}
    (joined / "hyp.txt").write_text("".join(f"{utterance} {word}\n" for utterance, word in new.items()))
    run(make_ctm, joined, lang, exp / "frames/test", tmp_path / "mono", tmp_path / "ctm")
    rows = [line.split() for line in (tmp_path / "ctm/hyp.ctm").read_text().splitlines()]
    assert {row[0]: row[4] for row in rows} == {u: word for u, word in new.items() if u != last}
    assert f"{last}: left out, words outside the lexicon: ABX" in caplog.text


def test_the_page_counts_no_word_as_out_of_vocabulary(decoded: Path, rescored: Path) -> None:
    exp = decoded.parents[1]
    flags = ("--recipe", "tones", "--bootstrap-samples", 100, "--lm", exp.parent / "lm.arpa")
    asr_kd("score", *flags, "--", exp, exp / "score")
    page = (exp / "score/RESULTS.md").read_text()
    assert "distilled+1-gram" in page
    assert "Outside the vocabulary" not in page and "perplexity" not in page
