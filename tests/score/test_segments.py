"""Segments of errors: as NIST's program cuts them, and as a reader of Gillick & Cox would."""

import re
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asr_kd.score.segments import segment_errors, slot_errors
from asr_kd.score.significance import matched_pairs
from asr_kd.score.wer import align_words, count_words, trn_line

from .conftest import WORDS, corrupt

needs_sctk = pytest.mark.skipif(shutil.which("sctk") is None, reason="NIST's program `sctk` is not installed")
Texts = dict[str, list[str]]
Utterance = tuple[list[tuple[int, int]], int]  # (inserted before it, wrong) of each word, inserted at the end
an_utterance = st.tuples(
    st.lists(st.tuples(st.sampled_from([0, 0, 0, 1, 2]), st.sampled_from([0, 0, 1])), min_size=1, max_size=12),
    st.integers(0, 1),
)


def segments_of(one: Texts, other: Texts, ref: Texts) -> tuple[np.ndarray, np.ndarray]:
    a, b = (list(align_words(ref, hyp).values()) for hyp in (one, other))
    return segment_errors(slot_errors(a), slot_errors(b), count_words(a).ref_words)


def read_word_by_word(one: Utterance, other: Utterance) -> list[tuple[int, int]]:
    """The segments of one utterance, by walking its words and counting those that both have right."""
    found: list[tuple[int, int]] = []
    right_in_a_row = 2
    for place in range(len(one[0]) + 1):
        pairs = [(0, 0)] if place == len(one[0]) else [one[0][place], other[0][place]]
        inserted = (one[1], other[1]) if place == len(one[0]) else (pairs[0][0], pairs[1][0])
        wrong = (0, 0) if place == len(one[0]) else (pairs[0][1], pairs[1][1])
        for errors, is_word in ((inserted, False), (wrong, place < len(one[0]))):
            if any(errors):
                if right_in_a_row >= 2:
                    found.append((0, 0))
                found[-1] = found[-1][0] + errors[0], found[-1][1] + errors[1]
                right_in_a_row = 0
            elif is_word:
                right_in_a_row += 1
    return found


def as_slots(utterances: Sequence[Utterance]) -> list[int]:
    return [e for words, at_end in utterances for e in (*(e for word in words for e in word), at_end)]


@given(st.lists(st.tuples(an_utterance, an_utterance), min_size=1, max_size=6))
@settings(max_examples=100, deadline=None)
def test_segments_are_those_of_reading_word_by_word(pairs: list[tuple[Utterance, Utterance]]) -> None:
    same_length = [
        ((a[0][:size], a[1]), (b[0][:size], b[1])) for a, b in pairs for size in (min(len(a[0]), len(b[0])),)
    ]
    words = [len(a[0]) for a, _ in same_length]
    found = segment_errors(as_slots([a for a, _ in same_length]), as_slots([b for _, b in same_length]), words)
    expected = [segment for a, b in same_length for segment in read_word_by_word(a, b)]
    assert list(zip(*found, strict=True)) == expected


def test_two_right_words_part_segments_and_one_does_not() -> None:
    ref = {"u": list("abcdef")}
    wrong_first = {"u": list("xbcdef")}
    assert len(segments_of(wrong_first, {"u": list("abxdef")}, ref)[0]) == 1
    assert len(segments_of(wrong_first, {"u": list("abcxef")}, ref)[0]) == 2
    assert len(segments_of(wrong_first, {"u": list("abcidxf")}, ref)[0]) == 2


def test_errors_of_two_utterances_are_never_one_segment() -> None:
    ref = {"u": ["a"], "v": ["b"]}
    assert len(segments_of({"u": ["x"], "v": ["x"]}, ref, ref)[0]) == 2


def test_slots_hold_every_error_once() -> None:
    ref = {"u": list("abc"), "v": list("d")}
    words = list(align_words(ref, {"u": list("iaxcj"), "v": []}).values())
    assert slot_errors(words).tolist() == [1, 0, 0, 1, 0, 0, 1, 0, 1, 0]


def test_without_an_error_there_is_no_segment_and_no_difference() -> None:
    ref = {"u": ["a", "b"]}
    found = matched_pairs(*segments_of(ref, ref, ref))
    assert (found.segments, found.p) == (0, 1.0)


def nist(one: Texts, other: Texts, ref: Texts, where: Path) -> tuple[int, float, float]:
    """Segments, z and the two-sided p-value, as `sc_stats` says."""
    texts = {"ref": ref, "one": one, "other": other}
    for name, of in texts.items():
        (where / f"{name}.trn").write_text("".join(trn_line("s", utt, words) for utt, words in of.items()))
    for name in ("one", "other"):
        command = f"sctk sclite -r ref.trn trn -h {name}.trn trn -i rm -o sgml -n {name}"
        subprocess.run(command.split(), cwd=where, check=True, capture_output=True)
    sgml = "".join((where / f"{name}.sgml").read_text() for name in ("one", "other"))

    def said(flags: str) -> str:
        command = f"sctk sc_stats -p -t mapsswe {flags} -n -"
        return subprocess.run(command.split(), cwd=where, input=sgml, text=True, check=True, capture_output=True).stdout

    test = re.search(r"# segs: (\d+)\).*Z Stat: +(-?[\d.]+)", said("-v"))
    p = re.search(r"MP +\|.* <?(0\.\d{3}) ", said("-u"))  # "<0.001" is the least it says
    assert test and p
    return int(test[1]), float(test[2]), float(p[1])


@needs_sctk
@pytest.mark.parametrize(("rate", "seed"), [(0.107, 5), (0.13, 6), (0.4, 7)])
def test_segments_z_and_p_are_those_of_nist(rate: float, seed: int, tmp_path: Path) -> None:
    rng = np.random.default_rng(seed)
    ref = {f"u{i:04d}": [str(w) for w in rng.choice(WORDS, size=rng.integers(1, 30))] for i in range(700)}
    one, other = ({utt: corrupt(words, r, rng) for utt, words in ref.items()} for r in (0.1, rate))
    # A last word that both have right: NIST's program does not see what only the second system inserts after it.
    for texts in (ref, one, other):
        for words in texts.values():
            words.append("stop")
    found = matched_pairs(*segments_of(one, other, ref))
    segments, z, p = nist(one, other, ref, tmp_path)
    assert found.segments == segments
    assert found.z == pytest.approx(z, abs=6e-4)
    assert found.p == pytest.approx(p, abs=0.004)  # NIST looks p up in a table for two digits of z
