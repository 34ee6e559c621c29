"""Frame counts read from a decode directory."""

from pathlib import Path

import pytest

from asr_kd.errors import DataError
from asr_kd.score.frame_accuracy import read_frames

HEADER = "utt\tnum_frames\tnum_correct\tcross_entropy\n"


def test_rates_are_sums_over_sums_not_means_of_rates(tmp_path: Path) -> None:
    path = tmp_path / "frames.tsv"
    path.write_text(HEADER + "a\t10\t10\t1.0\nb\t90\t40\t99.0\nc\t0\t0\t0.0\n")
    utterances, counts = read_frames(path)
    assert utterances == ("a", "b", "c")
    assert counts.accuracy == 0.5
    assert counts.mean_cross_entropy == 1.0


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", ":1: expected the columns"),
        ("utt num_frames\n", ":1: expected the columns"),
        (HEADER + "a\t10\t5\n", ":2: expected an utterance and three numbers"),
        (HEADER + "a\t10\t11\t1.0\n", ":2: impossible counts: 11 of 10"),
        (HEADER + "a\t10\t5\tnan\n", ":2: impossible counts"),
        (HEADER + "a\t0\t0\t0.0\n", "no labelled frames"),
    ],
)
def test_a_malformed_file_is_an_error_that_names_the_line(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "frames.tsv"
    path.write_text(text)
    with pytest.raises(DataError, match=message):
        read_frames(path)


def test_a_missing_file_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="cannot read it"):
        read_frames(tmp_path / "frames.tsv")
