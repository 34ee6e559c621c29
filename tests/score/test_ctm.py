"""CTM lines are NIST's, and confidences come back from disk."""

from pathlib import Path

import pytest

from asr_kd.errors import DataError
from asr_kd.score.ctm import ctm_line, read_confidences, write_confidences


def test_a_line_is_utterance_channel_start_duration_word_and_confidence() -> None:
    assert ctm_line("u1", 1.23, 0.45, "WORD") == "u1 1 1.230 0.450 WORD\n"
    assert ctm_line("u1", 0.0, 0.04, "WORD", 0.98765) == "u1 1 0.000 0.040 WORD 0.988\n"


def test_confidences_come_back_and_damage_is_named_with_its_line(tmp_path: Path) -> None:
    path = tmp_path / "confidence.txt"
    write_confidences(path, {"u1": [0.5, 1.0], "u2": []})
    assert read_confidences(path) == {"u1": [0.5, 1.0], "u2": []}
    path.write_text("u1 0.5\nu2 x\n")
    with pytest.raises(DataError, match=":2: expected an utterance and numbers"):
        read_confidences(path)
