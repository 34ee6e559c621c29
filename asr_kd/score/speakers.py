"""Word and frame errors by speaker, each with an interval over the speaker's utterances.

Legend: U utterances.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from asr_kd.score.bootstrap import estimate_ratios
from asr_kd.score.systems import System
from asr_kd.stage import write_text

RATES = ("wer", "wer_low", "wer_high", "frame_accuracy")
HEADER = ("system", "speaker", "utterances", "words", *RATES, "sub", "ins", "del")


def speaker_rows(systems: Sequence[System], *, num_samples: int, seed: int) -> list[dict[str, Any]]:
    """Every speaker's WER and frame accuracy under every system, as JSON values; the speakers in order of name.

    A rate has no interval where the speaker has a single utterance. Where no utterance shares its speaker with another
    one, nothing is known of speakers, and the list is empty.
    """
    first = systems[0].runs[0]
    speakers = sorted(set(first.speakers))
    if len(speakers) == len(first.utterances):
        return []
    own = np.array(first.speakers)
    rng = np.random.default_rng(seed)
    return [_speaker_row(speaker, np.flatnonzero(own == speaker), systems, num_samples, rng) for speaker in speakers]


def write_speakers(path: Path, systems: Sequence[System], rows: Sequence[Mapping[str, Any]]) -> None:
    """Write `speaker_rows`, a line for each system and speaker, with the errors summed over the system's runs."""
    lines: list[Sequence[Any]] = [HEADER]
    for system in systems:
        own = np.array(system.runs[0].speakers)
        for row in rows:
            of_speaker = own == row["speaker"]
            counts = [
                sum(int(getattr(run.words, kind)[of_speaker].sum()) for run in system.runs)
                for kind in ("sub", "ins", "dele")
            ]
            low, high = row["wer_ci"][system.name] or (None, None)
            rates = (row["wer"][system.name], low, high, row["frame_accuracy"][system.name])
            shown = ["" if rate is None else f"{rate:.5f}" for rate in rates]
            lines.append([system.name, row["speaker"], row["utterances"], row["words"], *shown, *counts])
    write_text(path, "".join("\t".join(map(str, line)) + "\n" for line in lines))


def _speaker_row(
    speaker: str, rows: np.ndarray, systems: Sequence[System], num_samples: int, rng: np.random.Generator
) -> dict[str, Any]:
    ratios = {system.name: (system.errors_U[rows], system.ref_words_U[rows]) for system in systems}
    estimates = estimate_ratios(ratios, num_samples=num_samples, rng=rng)
    single = len(rows) < 2
    return {
        "speaker": speaker,
        "utterances": len(rows),
        "words": int(systems[0].runs[0].words.ref_words[rows].sum()),
        "wer": {name: estimate.value for name, estimate in estimates.items()},
        "wer_ci": {name: None if single else list(estimate.interval()) for name, estimate in estimates.items()},
        "frame_accuracy": {
            system.name: _ratio(system.num_correct_U[rows].sum(), system.num_frames_U[rows].sum()) for system in systems
        },
    }


def _ratio(above: int, below: int) -> float | None:
    return float(above / below) if below else None
