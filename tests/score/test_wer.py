"""Word errors: least edits, sclite's totals, Kaldi's lines."""

import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asr_kd.errors import DataError
from asr_kd.score.wer import align_words, count_words, format_alignment, trn_line, wer_line, wer_lines

from .conftest import WORDS, corrupt

needs_sctk = pytest.mark.skipif(shutil.which("sctk") is None, reason="NIST's program `sctk` is not installed")
some_words = st.lists(st.sampled_from("abcd"), max_size=9)
pairs_of_words = st.lists(st.tuples(some_words.filter(bool), some_words), min_size=1, max_size=20)


def sclite_counts(ref: dict[str, list[str]], hyp: dict[str, list[str]], where: Path) -> np.ndarray:
    """Substitutions, deletions and insertions of each utterance as NIST sclite counts them, [U, 3]."""
    for name, texts in (("ref.trn", ref), ("hyp.trn", hyp)):
        (where / name).write_text("".join(trn_line("spk", utt, words) for utt, words in texts.items()))
    command = "sctk sclite -r ref.trn trn -h hyp.trn trn -i rm -o pra stdout"
    out = subprocess.run(command.split(), cwd=where, capture_output=True, text=True, check=True).stdout
    ids = re.findall(r"^id: \(spk-(.*)\)", out, re.MULTILINE)
    scores = re.findall(r"^Scores: \(#C #S #D #I\) \d+ (\d+) (\d+) (\d+)", out, re.MULTILINE)
    found = dict(zip(ids, scores, strict=True))
    return np.array([found[utt] for utt in ref], dtype=int)


def plain_edit_distance(ref: list[str], hyp: list[str]) -> int:
    row = list(range(len(hyp) + 1))
    for i, word in enumerate(ref, 1):
        before, row = row, [i]
        for j, other in enumerate(hyp, 1):
            row.append(min(before[j - 1] + (word != other), before[j] + 1, row[-1] + 1))
    return row[-1]


@given(pairs_of_words)
@settings(max_examples=50, deadline=None)
def test_alignment_is_of_least_edits_and_spells_both_sides(pairs: list[tuple[list[str], list[str]]]) -> None:
    ref = {f"u{i}": words for i, (words, _) in enumerate(pairs)}
    hyp = {f"u{i}": words for i, (_, words) in enumerate(pairs)}
    alignments = align_words(ref, hyp)
    counts = count_words(list(alignments.values()))
    assert [int(n) for n in counts.errors] == [plain_edit_distance(ref[u], hyp[u]) for u in ref]
    assert [int(n) for n in counts.ref_words] == [len(words) for words in ref.values()]
    for utt, words in alignments.items():
        assert [word.ref for word in words if word.op != "I"] == ref[utt]
        assert [word.hyp for word in words if word.op != "D"] == hyp[utt]
        assert all((word.ref == word.hyp) == (word.op == "C") for word in words)


@needs_sctk
def test_totals_equal_sclite_on_a_recognisers_output(tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    ref = {f"u{i:04d}": [str(w) for w in rng.choice(WORDS, size=rng.integers(3, 8))] for i in range(2000)}
    hyp = {utt: corrupt(words, 0.25, rng) for utt, words in ref.items()}
    counts = count_words(list(align_words(ref, hyp).values()))
    assert int(counts.errors.sum()) == int(sclite_counts(ref, hyp, tmp_path).sum())


@needs_sctk
@given(pairs=pairs_of_words)
@settings(max_examples=30, deadline=None)
def test_sclite_differs_only_where_its_dearer_substitutions_can_tell(
    tmp_path_factory: pytest.TempPathFactory, pairs: list[tuple[list[str], list[str]]]
) -> None:
    # sclite minimises 4 S + 3 (D + I) = 3 errors + S, so it takes at most a third of S more errors.
    ref = {f"u{i}": words for i, (words, _) in enumerate(pairs)}
    hyp = {f"u{i}": words for i, (_, words) in enumerate(pairs)}
    counts = count_words(list(align_words(ref, hyp).values()))
    more = sclite_counts(ref, hyp, tmp_path_factory.mktemp("sclite")).sum(axis=1) - counts.errors
    assert (more >= 0).all()
    assert (more <= counts.sub // 3).all()


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
