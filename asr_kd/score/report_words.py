"""The part of ``RESULTS.md`` about words: which systems differ, what is confused, which speakers are hard."""

from collections.abc import Mapping, Sequence
from typing import Any

from asr_kd.score.errors_page import MANY_SPEAKERS, confusion_table, speaker_table
from asr_kd.score.markdown import table
from asr_kd.score.systems import DISTILLED, split_variant

_SHOWN = 10
_FEW_SYSTEMS = 4
_STARS = ((0.001, "***"), (0.01, "**"), (0.05, "*"))


def words_section(result: Mapping[str, Any]) -> list[str]:
    """Paragraphs and tables; what was not measured is left out."""
    return [part for part in (_matrix(result), _vocabulary(result), _confusions(result), _speakers(result)) if part]


def stars(p: float) -> str:
    """As NIST's tools mark significance: *** below 0.001, ** below 0.01, * below 0.05."""
    return next((mark for bound, mark in _STARS if p < bound), "")


def _matrix(result: Mapping[str, Any]) -> str:
    """WER differences of all systems, where they are too many for a line each."""
    names = [system["name"] for system in result["systems"]]
    if len(names) <= _FEW_SYSTEMS:
        return ""
    pairs = {(pair["a"], pair["b"]): pair for pair in result["pairs"]}
    rows = [
        [row, *(_cell(pairs[column, row]) if place < below else "" for place, column in enumerate(names[:-1]))]
        for below, row in enumerate(names[1:], 1)
    ]
    return (
        "**All systems against each other**, WER of the row less that of the column, in points; matched pairs, for all "
        f"{len(pairs)} comparisons together (Holm 1979): \\* p < 0.05, \\*\\* p < 0.01, \\*\\*\\* p < 0.001.\n\n"
        + table(("", *names[:-1]), rows)
    )


def _cell(pair: Mapping[str, Any]) -> str:
    return f"{100 * pair['wer_difference']:+.2f}" + stars(pair["holm_p"]).replace("*", "\\*")


def _vocabulary(result: Mapping[str, Any]) -> str:
    lines = []
    unknown = result.get("out_of_vocabulary")
    if unknown and unknown["words"]:
        shares = [
            f"{name} {100 * share:.0f} %" for name, share in unknown["share_of_errors"].items() if share is not None
        ]
        lines.append(
            f"- Outside the vocabulary: {unknown['words']:,} of {result['corpus']['test_words']:,} words "
            f"({100 * unknown['rate']:.1f} %), {unknown['different_words']:,} different ones. Share of the errors that "
            f"are on these words: {', '.join(shares)}."
        )
    for model in result.get("language_models", ()):
        lines.append(
            f"- Language model `{model['name']}`, order {model['order']}: perplexity {model['perplexity']:.1f} on the "
            f"references ({model['unknown_words']:,} words unknown to it are left out)."
        )
    return "\n".join(lines)


def _confusions(result: Mapping[str, Any]) -> str:
    """Of the student, after the last thing that was done to its words."""
    systems = list(result["systems"])
    students = [system for system in systems if split_variant(system["name"])[0] == DISTILLED]
    system = (students or systems)[-1]
    most = {kind: rows[:_SHOWN] for kind, rows in system["most_confused"].items()}
    if not any(most.values()):
        return ""
    over = f", {system['seeds']} seeds together" if system["seeds"] > 1 else ""
    return f"**Words most often confused** ({system['name']}{over}):\n\n{confusion_table(most)}"


def _speakers(result: Mapping[str, Any]) -> str:
    speakers: Sequence[Mapping[str, Any]] = result["speakers"]
    if not speakers:
        return ""
    names = [system["name"] for system in result["systems"]]
    if len(speakers) > MANY_SPEAKERS:
        return f"**Speakers**, {speaker_table(names, speakers)}"
    return f"**WER by speaker**, %:\n\n{speaker_table(names, speakers, intervals=len(names) <= _FEW_SYSTEMS)}"
