"""NIST's CTM: ``<utterance> <channel> <start> <duration> <word> [<confidence>]``, times in seconds."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from asr_kd.errors import DataError

CONFIDENCE_FILE = "confidence.txt"
CTM_FILE = "hyp.ctm"


def ctm_line(utterance: str, start_s: float, duration_s: float, word: str, confidence: float | None = None) -> str:
    """One word of a CTM file; the channel is 1."""
    sure = "" if confidence is None else f" {confidence:.3f}"
    return f"{utterance} 1 {start_s:.3f} {duration_s:.3f} {word}{sure}\n"


def write_confidences(path: Path, confidences: Mapping[str, Sequence[float]]) -> None:
    """Write a line an utterance: its id and a number a word of ``hyp.txt``."""
    lines = [" ".join([utterance, *(f"{value:.3f}" for value in sure)]) for utterance, sure in confidences.items()]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def read_confidences(path: Path) -> dict[str, list[float]]:
    """Read what `write_confidences` wrote.

    Raises:
        DataError: with file and line: not numbers.
    """
    found = {}
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        utterance, *values = line.split()
        try:
            found[utterance] = [float(value) for value in values]
        except ValueError as error:
            raise DataError(f"{path}:{number}: expected an utterance and numbers; rescore again") from error
    return found
