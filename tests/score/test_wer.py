"""Word errors: least edits, sclite's totals, Kaldi's lines."""

import re
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

import jiwer
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rapidfuzz.distance import Levenshtein

from asr_kd.errors import DataError
from asr_kd.score.wer import AlignedWord, align_words, count_words, format_alignment, trn_line, wer_line, wer_lines

from .conftest import WORDS, corrupt

needs_sctk = pytest.mark.skipif(shutil.which("sctk") is None, reason="NIST's program `sctk` is not installed")
Texts = dict[str, list[str]]
some_words = st.lists(st.sampled_from("abcd"), max_size=9)
pairs_of_words = st.lists(st.tuples(some_words.filter(bool), some_words), min_size=1, max_size=20)


def sclite_counts(ref: Texts, hyp: Texts, where: Path) -> np.ndarray:
    """Substitutions, deletions and insertions of each utterance as NIST sclite counts them, [U, 3]."""
    for name, texts in (("ref.trn", ref), ("hyp.trn", hyp)):
        (where / name).write_text("".join(trn_line("spk", utt, words) for utt, words in texts.items()))
    command = "sctk sclite -r ref.trn trn -h hyp.trn trn -i rm -o pra stdout"
    out = subprocess.run(command.split(), cwd=where, capture_output=True, text=True, check=True).stdout
    ids = re.findall(r"^id: \(spk-(.*)\)", out, re.MULTILINE)
    scores = re.findall(r"^Scores: \(#C #S #D #I\) \d+ (\d+) (\d+) (\d+)", out, re.MULTILINE)
    found = dict(zip(ids, scores, strict=True))
    return np.array([found[utt] for utt in ref], dtype=int)


def our_counts(ref: Texts, hyp: Texts) -> np.ndarray:
    """As `sclite_counts`."""
    counts = count_words(list(align_words(ref, hyp).values()))
    return np.stack([counts.sub, counts.dele, counts.ins], axis=1)


def a_recognisers_output() -> tuple[Texts, Texts]:
    rng = np.random.default_rng(3)
    ref = {f"u{i:04d}": [str(w) for w in rng.choice(WORDS, size=rng.integers(3, 8))] for i in range(2000)}
    return ref, {utt: corrupt(words, 0.25, rng) for utt, words in ref.items()}


def weighted(words: Sequence[AlignedWord]) -> int:
    ops = [word.op for word in words]
    return 4 * ops.count("S") + 3 * (ops.count("I") + ops.count("D"))


@given(pairs_of_words)
@settings(max_examples=50, deadline=None)
def test_alignment_is_the_cheapest_and_spells_both_sides(pairs: list[tuple[list[str], list[str]]]) -> None:
    ref = {f"u{i}": words for i, (words, _) in enumerate(pairs)}
    hyp = {f"u{i}": words for i, (_, words) in enumerate(pairs)}
    alignments = align_words(ref, hyp)
    counts = count_words(list(alignments.values()))
    assert [int(n) for n in counts.ref_words] == [len(words) for words in ref.values()]
    for utt, words in alignments.items():
        assert weighted(words) == Levenshtein.distance(ref[utt], hyp[utt], weights=(3, 3, 4))
        assert [word.ref for word in words if word.op != "I"] == ref[utt]
        assert [word.hyp for word in words if word.op != "D"] == hyp[utt]
        assert all((word.ref == word.hyp) == (word.op == "C") for word in words)


def test_the_total_is_jiwers_but_for_one_error_in_a_thousand() -> None:
    ref, hyp = a_recognisers_output()
    errors = count_words(list(align_words(ref, hyp).values())).errors
    measured = jiwer.process_words([" ".join(words) for words in ref.values()], [" ".join(hyp[u]) for u in ref])
    fewest = measured.substitutions + measured.insertions + measured.deletions
    assert fewest <= int(errors.sum()) <= 1.001 * fewest


# Reference, hypothesis and what sclite 2.10 (of Debian's sctk 2.4.10-20151007) makes of them, words being letters.
# Each has another alignment that costs the same.
SCLITES = [
    ("adb", "dbb", "DCIC"),
    ("cad", "abb", "DCIS"),
    ("ccb", "aac", "ISCD"),
    ("aba", "ad", "CDS"),
    ("add", "bd", "DSC"),
    ("bba", "ca", "DSC"),
    ("dbc", "cd", "DDCI"),
    ("addb", "ba", "DDDCI"),
    ("cbc", "bcb", "DCCI"),
    ("bdb", "dad", "DCIS"),
    ("bdcc", "cad", "DDCIS"),
    ("abc", "dcaa", "IICDS"),
    ("bdd", "dbb", "DCIS"),
    ("dcc", "cadb", "DCIIS"),
    ("abcb", "caa", "DDCIS"),
    ("cdaa", "cadb", "CDCIS"),
    ("abb", "bab", "DCIC"),
    ("dbc", "acb", "DSCI"),
    ("caa", "adca", "DCIIC"),
    ("cad", "bbc", "SSS"),
    ("abbb", "cda", "DSSS"),
    ("dcdcc", "aadd", "SSCDS"),
    ("abd", "dccc", "ISSS"),
    ("addc", "ccba", "SSSS"),
    ("bbd", "daaca", "IISSS"),
    ("aadad", "dbba", "SSSCD"),
    ("caaaac", "cdcdb", "CDSSSS"),
    ("cadd", "acbcbca", "IIICSSS"),
    ("bacda", "ddabbac", "ISCSSCI"),
    ("dcaddc", "cdbbbaa", "ICSSSSS"),
    ("accdabc", "adcbcba", "CSCSSCS"),
]


@pytest.mark.parametrize(("ref", "hyp", "ops"), SCLITES)
def test_of_alignments_that_cost_the_same_it_is_sclites(ref: str, hyp: str, ops: str) -> None:
    assert "".join(word.op for word in align_words({"u": list(ref)}, {"u": list(hyp)})["u"]) == ops


@needs_sctk
def test_every_count_is_sclites_on_a_recognisers_output(tmp_path: Path) -> None:
    ref, hyp = a_recognisers_output()
    np.testing.assert_array_equal(our_counts(ref, hyp), sclite_counts(ref, hyp, tmp_path))


@needs_sctk
@given(pairs=pairs_of_words)
@settings(max_examples=30, deadline=None)
def test_every_count_is_sclites_on_any_words(
    tmp_path_factory: pytest.TempPathFactory, pairs: list[tuple[list[str], list[str]]]
) -> None:
    ref = {f"u{i}": words for i, (words, _) in enumerate(pairs)}
    hyp = {f"u{i}": words for i, (_, words) in enumerate(pairs)}
    np.testing.assert_array_equal(our_counts(ref, hyp), sclite_counts(ref, hyp, tmp_path_factory.mktemp("sclite")))


@pytest.mark.parametrize(
    ("ref", "hyp", "message"),
    [
        ({"a": ["x"], "b": ["y"]}, {"a": ["x"]}, "no hypothesis for b"),
        ({"a": ["x"]}, {"a": ["x"], "c": ["y"]}, "without a reference: c"),
        ({"a": []}, {"a": ["x"]}, "reference is empty for a"),
        ({}, {}, "no utterances"),
        ({f"u{i}": ["x"] for i in range(9)}, {}, "u0, u1, u2 and 6 more"),
    ],
)
def test_unequal_sides_are_an_error_that_names_the_utterance(
    ref: dict[str, list[str]], hyp: dict[str, list[str]], message: str
) -> None:
    with pytest.raises(DataError, match=message):
        align_words(ref, hyp)


def test_lines_are_kaldis() -> None:
    assert wer_line(sub=60, ins=20, dele=27, ref_words=1000) == "%WER 10.70 [ 107 / 1000, 20 ins, 27 del, 60 sub ]"
    ref, hyp = {"a": ["x", "y"], "b": ["z"]}, {"a": ["x"], "b": ["z"]}
    counts = count_words(list(align_words(ref, hyp).values()))
    assert wer_lines(counts) == "%WER 33.33 [ 1 / 3, 0 ins, 1 del, 0 sub ]\n%SER 50.00 [ 1 / 2 ]\n"


def test_alignment_lines_stand_in_columns() -> None:
    words = align_words({"u": ["one", "three", "four"]}, {"u": ["one", "two", "three", "five"]})["u"]
    assert format_alignment("u", words).splitlines() == [
        "u ref   one *** three four",
        "u hyp   one two three five",
        "u op    C   I   C     S",
        "u #csid 2 1 1 0",
    ]


def test_case_and_punctuation_are_words_as_they_stand() -> None:
    assert [word.op for word in align_words({"u": ["One", "it's"]}, {"u": ["one", "it's"]})["u"]] == ["S", "C"]
