"""One system's word errors as a page: which words, which speakers, which utterances."""

from collections.abc import Mapping, Sequence
from itertools import zip_longest
from pathlib import Path
from typing import Any

import numpy as np

from asr_kd.score.bootstrap import estimate_ratios
from asr_kd.score.confusions import Confusions, most_confused
from asr_kd.score.markdown import table
from asr_kd.score.systems import System
from asr_kd.score.wer import format_alignment, wer_line
from asr_kd.stage import write_text

UTTERANCES_HEADER = ("utterance", "speaker", "words", "sub", "ins", "del", "frames", "frames_correct")
MANY_SPEAKERS = 24


def render_errors(
    system: System,
    confusions: Confusions,
    speakers: Sequence[Mapping[str, Any]],
    *,
    number: int,
    num_samples: int,
    seed: int,
) -> str:
    """A page of Markdown.

    Args:
        system: its runs; counts are sums over them.
        confusions: of all its runs.
        speakers: as `speaker_rows` gives them.
        number: rows of each table of words, and utterances shown.
        num_samples: bootstrap samples for the interval.
        seed: of the bootstrap.
    """
    parts = [f"# Errors: {system.name}", "Written by `asr-kd errors`.", _headline(system, num_samples, seed)]
    parts += ["## Words", confusion_table(most_confused(confusions, number)), _kinds(confusions, number)]
    if len(speakers) > MANY_SPEAKERS:
        spread = speaker_table([system.name], speakers)
        parts += ["## Speakers", spread[0].upper() + spread[1:]]
    elif speakers:
        parts += ["## Speakers", f"WER, %:\n\n{speaker_table([system.name], speakers)}"]
    parts += ["## Utterances with the most errors", _worst(system, number)]
    return "\n\n".join(parts) + "\n"


def confusion_table(most: Mapping[str, Sequence[Sequence[Any]]]) -> str:
    """The most frequent errors of each kind side by side, as `most_confused` gives them."""
    columns = [
        [(f"{said} → {recognised}", f"{count:,}") for said, recognised, count in most["sub"]],
        *([(word, f"{count:,}") for word, count in most[kind]] for kind in ("del", "ins")),
    ]
    rows = [[cell for pair in row for cell in pair] for row in zip_longest(*columns, fillvalue=("", ""))]
    return table(("said → recognised", "times", "deleted", "times", "inserted", "times"), rows)


def speaker_table(names: Sequence[str], speakers: Sequence[Mapping[str, Any]], *, intervals: bool = True) -> str:
    """WER of every speaker under some systems, the hardest speaker first; of many speakers how far they spread."""
    if len(speakers) > MANY_SPEAKERS:
        return _spread(names, speakers)
    ordered = sorted(speakers, key=lambda row: (-row["wer"][names[0]], row["speaker"]))
    rows = [
        [
            row["speaker"],
            f"{row['utterances']:,}",
            f"{row['words']:,}",
            *(_rate(row, name, intervals) for name in names),
        ]
        for row in ordered
    ]
    return table(("speaker", "utterances", "words", *names), rows)


def write_utterances(path: Path, system: System) -> None:
    """Write every utterance's counts, summed over the runs, those with the most errors first."""
    first = system.runs[0]
    columns = [np.sum([getattr(run.words, kind) for run in system.runs], axis=0) for kind in ("sub", "ins", "dele")]
    rows = zip(
        first.utterances,
        first.speakers,
        system.ref_words_U.tolist(),
        *(column.tolist() for column in columns),
        system.num_frames_U.tolist(),
        system.num_correct_U.tolist(),
        strict=True,
    )
    ordered = sorted(rows, key=lambda row: (-sum(row[3:6]), row[0]))
    write_text(path, "".join("\t".join(map(str, row)) + "\n" for row in (UTTERANCES_HEADER, *ordered)))


def _headline(system: System, num_samples: int, seed: int) -> str:
    ratios = {"wer": (system.errors_U, system.ref_words_U)}
    estimate = estimate_ratios(ratios, num_samples=num_samples, rng=np.random.default_rng(seed))["wer"]
    low, high = estimate.interval()
    counts = {kind: sum(int(getattr(run.words, kind).sum()) for run in system.runs) for kind in ("sub", "ins", "dele")}
    line = wer_line(**counts, ref_words=int(system.ref_words_U.sum()))
    wrong = np.mean([run.words.errors > 0 for run in system.runs])
    runs = f" Counts are sums over {len(system.runs)} runs." if len(system.runs) > 1 else ""
    return (
        f"`{line}`\n\n"
        f"WER {100 * estimate.value:.2f} % [{100 * low:.2f}, {100 * high:.2f}], 95 % interval by bootstrap over "
        f"{len(system.runs[0].utterances):,} utterances; {100 * wrong:.1f} % of them have an error.{runs}"
    )


def _kinds(confusions: Confusions, number: int) -> str:
    """How much of all errors the table above holds."""
    most = most_confused(confusions, number)
    shown = sum(int(row[-1]) for rows in most.values() for row in rows)
    different = len(confusions.substituted) + len(confusions.deleted) + len(confusions.inserted)
    total = max(confusions.num_errors, 1)
    return (
        f"These are {100 * shown / total:.0f} % of {confusions.num_errors:,} errors, {different:,} different ones; "
        "all of them are in `confusions.tsv`, what became of every word in `words.tsv`."
    )


def _worst(system: System, number: int) -> str:
    """The first run's alignments of the utterances in which all runs together err most."""
    first = system.runs[0]
    order = np.argsort(-system.errors_U, kind="stable")[:number]
    blocks = [format_alignment(first.utterances[row], first.alignments[row]) for row in order if system.errors_U[row]]
    return "```\n" + "\n".join(blocks) + "```" if blocks else "None has an error."


def _rate(row: Mapping[str, Any], name: str, intervals: bool) -> str:
    text, ci = f"{100 * row['wer'][name]:.2f}", row["wer_ci"][name]
    return text if ci is None or not intervals else f"{text} [{100 * ci[0]:.2f}, {100 * ci[1]:.2f}]"


def _spread(names: Sequence[str], speakers: Sequence[Mapping[str, Any]]) -> str:
    quantiles = {"least": 0.0, "a quarter is below": 0.25, "half": 0.5, "a quarter is above": 0.75, "greatest": 1.0}
    rows = [
        [name, *(f"{100 * np.quantile([row['wer'][name] for row in speakers], at):.2f}" for at in quantiles.values())]
        for name in names
    ]
    return f"how far the WER (%) of {len(speakers)} speakers spreads:\n\n" + table(("system", *quantiles), rows)
