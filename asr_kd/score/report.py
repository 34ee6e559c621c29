"""``RESULTS.md``: the figures of one or more ``results.json`` as a page that says how far to trust them."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from asr_kd.errors import DataError
from asr_kd.score.bootstrap import drawn_units
from asr_kd.score.markdown import table
from asr_kd.score.origin import name_of, remade_by
from asr_kd.score.report_words import words_section
from asr_kd.score.summary import gains, kept, points, wer_verdict
from asr_kd.score.wer import wer_line

_PAPER = """\
Hinton, Vinyals & Dean (2015), Table 1: about 2,000 hours of English, 8 layers of 2,560 units, 14,000 states. Other
data and far larger networks, so only the pattern is to be compared, not the figures.

| | dev frame accuracy, % | WER, % |
| --- | ---: | ---: |
| baseline | 58.9 | 10.9 |
| 10x ensemble | 61.1 | 10.7 |
| distilled single model | 60.8 | 10.7 |
| gain kept | 86 | 100 |
"""

_READING = """\
- **baseline** is the mean over the ensemble's members, each decoded by itself; **ensemble** averages the posteriors
  of all of them; a student's figures are the mean over its seeds. `±` is the standard deviation over seeds.
- `[ , ]` are 95 % intervals, a bootstrap over {units}; the same resampled ones for every system. The
  chance of training is not in them (see `±`).
- All systems are scored on the labels of one alignment model. Acoustic scale and insertion penalty were chosen on dev.
- Gain kept is (student - baseline) / (ensemble - baseline). It is given only where the ensemble's gain is above noise.
- Matched pairs is the test of Gillick & Cox (1989), MAPSSWE in NIST's tools: a segment ends where both systems have two
  words in a row right.
- `a → b` is a word a recognised as b. RTF is processor time over the duration of the audio, scoring and search.
- Counts of errors are sums over a system's seeds. Cross-entropy is in nats a frame at temperature 1.
"""

# Of each run: key, title, how it is written, whether it is shown where no run has it.
_RATE, _NUMBER = (100, ".2f"), (1, "g")
_RUN_COLUMNS: tuple[tuple[str, str, tuple[int, str], bool], ...] = (
    ("frame_accuracy", "frame accuracy, %", _RATE, True),
    ("wer", "WER, %", _RATE, True),
    ("oracle_wer", "best of the n-best lists, %", _RATE, False),
    ("dev_wer", "dev WER, %", _RATE, True),
    ("acoustic_scale", "acoustic scale", _NUMBER, True),
    ("insertion_penalty", "insertion penalty", _NUMBER, True),
    ("lm_scale", "LM scale", _NUMBER, False),
    ("beam", "beam", _NUMBER, False),
)


def read_results(path: Path) -> dict[str, Any]:
    """Read a ``results.json``.

    Raises:
        DataError: it is missing or not valid JSON.
    """
    try:
        return dict(json.loads(path.read_text()))
    except OSError as error:
        raise DataError(f"{path}: cannot read it ({error.strerror}); run asr-kd score first") from error
    except ValueError as error:
        raise DataError(f"{path}: not valid JSON ({error}); remove its directory and run asr-kd score again") from error


def render(results: Sequence[Mapping[str, Any]]) -> str:
    """One page of Markdown from one or more protocols' results, in the order given."""
    recipes = ", ".join(dict.fromkeys(result["recipe"] for result in results if result["recipe"]))
    parts = [f"# Results{recipes and f': {recipes}'}", "Written by `asr-kd score` from the runs themselves."]
    for result in results:
        if len(results) > 1:
            parts.append(f"## {name_of(result) or 'no recipe'}")
        parts += _section(result)
    units = " or ".join(dict.fromkeys(drawn_units(result["bootstrap"]) for result in results)) or "test utterances"
    parts += ["## How to read the figures", _READING.format(units=units)]
    parts += ["## The paper's table, for orientation", _PAPER]
    return "\n\n".join(part.strip("\n") for part in parts) + "\n"


def _section(result: Mapping[str, Any]) -> list[str]:
    return [
        " ".join(filter(None, (remade_by(result), _folds(result)))),
        _systems_table(result),
        _wer_block(result),
        _gain_section(result),
        *words_section(result),
        _runs_table(result),
        _corpus_lines(result),
    ]


def _folds(result: Mapping[str, Any]) -> str:
    return f"Pooled over {result['folds']} folds, each with a test set of its own." if result["folds"] > 1 else ""


def _systems_table(result: Mapping[str, Any]) -> str:
    header = ["system", "members", "parameters", "seeds", "frame accuracy, %", "cross-entropy", "WER, %"]
    header += ["ins/del/sub", "RTF"]
    rows = [
        (
            system["name"],
            str(system["members"]),
            f"{system['params']:,}",
            str(system["seeds"]),
            _rate(system, "frame_accuracy"),
            f"{system['cross_entropy']:.3f}",
            _rate(system, "wer"),
            f"{system['ins']}/{system['del']}/{system['sub']}",
            _known(system["rtf"], 1, ".2g"),
        )
        for system in result["systems"]
    ]
    return table(header, rows)


def _rate(system: Mapping[str, Any], metric: str) -> str:
    low, high = system[f"{metric}_ci"]
    text = f"**{100 * system[metric]:.2f}** [{100 * low:.2f}, {100 * high:.2f}]"
    spread = system[f"{metric}_std"]
    return text if spread is None else f"{text} ± {100 * spread:.2f}"


def _wer_block(result: Mapping[str, Any]) -> str:
    width = max(len(system["name"]) for system in result["systems"])
    lines = [
        f"{system['name']:<{width}}  "
        + wer_line(sub=system["sub"], ins=system["ins"], dele=system["del"], ref_words=system["ref_words"])
        for system in result["systems"]
    ]
    return "```\n" + "\n".join(lines) + "\n```"


def _gain_section(result: Mapping[str, Any]) -> str:
    lines = ["**Gain kept** of the ensemble's gain over the baseline:", ""]
    rows = [(name, kept(gain, "frame_accuracy"), kept(gain, "wer")) for name, gain in gains(result).items()]
    lines += [table(("student", "of the frame accuracy gain", "of the WER gain"), rows), ""] if rows else []
    gain = result["ensemble_gain"]
    if gain:
        lines.append(
            f"- ensemble - baseline, frame accuracy: {points(gain['frame_accuracy'], gain['frame_accuracy_ci'])}"
        )
        lines.append(f"- ensemble - baseline, WER: {wer_verdict(gain['significance'])}")
    for student in gains(result).values():
        for pair, comparison in student["significance"].items():
            lines.append(f"- {pair.replace('_vs_', ' - ')}, WER: {wer_verdict(comparison)}")
    reasons = {reason for student in gains(result).values() for reason in student["reason"].values()}
    lines += [f"- No share of the gain is given (`-`): {reason}." for reason in sorted(reasons)]
    return "\n".join(lines)


def _runs_table(result: Mapping[str, Any]) -> str:
    runs = [(system["name"], run) for system in result["systems"] for run in system["runs"]]
    shown = [column for column in _RUN_COLUMNS if column[3] or any(run[column[0]] is not None for _, run in runs)]
    rows = [
        (name, str(run["seed"]), *(_known(run[key], scale, form) for key, _, (scale, form), _ in shown))
        for name, run in runs
    ]
    return f"Every run:\n\n{table(('run', 'seed', *(title for _, title, _, _ in shown)), rows)}"


def _known(value: float | None, scale: int, form: str) -> str:
    return "-" if value is None else format(scale * value, form)


def _corpus_lines(result: Mapping[str, Any]) -> str:
    corpus = result["corpus"]
    splits = [key.removesuffix("_hours") for key in corpus if key.endswith("_hours")]
    hours = ", ".join(
        f"{split} {corpus[f'{split}_hours']:.2f} h ({corpus[f'{split}_utterances']:,})" for split in splits
    )
    test = (
        f"{corpus['test_utterances']:,} test utterances of {corpus['test_speakers']} speakers, "
        f"{corpus['test_words']:,} words ({corpus['test_different_words']:,} different), "
        f"{corpus['test_labelled_frames']:,} labelled frames; "
        f"{result['num_pdfs']} pdfs."
    )
    lines = [f"- Corpus (utterances): {hours}." if hours else "", f"- {test}"]
    if result.get("seconds"):
        times = ", ".join(f"{command} {_duration(seconds)}" for command, seconds in result["seconds"].items())
        lines.append(f"- Wall time: {_duration(result['total_seconds'])} ({times}).")
    return "\n".join(line for line in lines if line)


def _duration(seconds: float) -> str:
    return (
        f"{seconds:.0f} s"
        if seconds < 120
        else f"{seconds / 60:.1f} min"
        if seconds < 7200
        else f"{seconds / 3600:.1f} h"
    )
