"""Tables 3 and 4 beside ours: what specialists add to a generalist, and what one model keeps of both."""

from collections.abc import Mapping
from typing import Any

from asr_kd.score.paper import figures
from asr_kd.score.paper.claims import DIFFERS, HOLDS, OPEN, PATTERN, Claim, Interval, difference, judge_gain, sign
from asr_kd.score.paper.table import Part, Row, percent, points, rate_row, rows_table

STUDENTS = ("student of generalist", "student of generalist + specialists")
TRAINED_ON = "trained on"


def specialists_part(results: Mapping[str, Any]) -> Part:
    """The tables and the claims of one ``results.json`` of `asr-kd specialist-report`."""
    systems = _systems(results)
    base, fused = systems["generalist"], systems["fused"]
    relative, relative_ci = _relative(fused["gain"], base), _relative_ci(fused, base)
    number = sum(row["kind"] == fused["name"] for row in results["specialists"])
    rows = [
        rate_row("generalist, %", base, "frame_accuracy", figures.TOP_1["generalist"]),
        rate_row(f"with {number} specialists, %", fused, "frame_accuracy", figures.TOP_1["specialists"]),
        Row(
            what="relative gain, %",
            paper=figures.SPECIALISTS_GAIN,
            value=relative,
            ci=relative_ci,
            form="+.2f",
        ),
    ]
    if TRAINED_ON in systems:
        control = systems[TRAINED_ON]
        rows.append(rate_row("generalist trained on, without specialists, %", control, "frame_accuracy"))
    gain = f"{percent(relative, relative_ci, '+.2f')} relative, {points(fused['gain'], fused['gain_ci'])}"
    here = f"{gain} with {number} specialists{_control(systems)}"
    claims = [Claim(figures.SPECIALISTS, judge_gain(relative_ci, figures.SPECIALISTS_GAIN), here), _coverage(results)]
    facts = (
        f"{results['test']['labelled_frames']:,} labelled frames of {results['test']['utterances']:,} test utterances, "
        f"{results['num_pdfs']} states. {fused['name'].capitalize()} specialists, asked by the generalist's "
        f"{_best(fused['num_best'])}: chosen on dev."
    )
    by_number = "Relative change by the number of specialists that cover the correct class, %:"
    return Part(facts=facts, blocks=[rows_table(rows), by_number, rows_table(_coverage_rows(results))], claims=claims)


def distilled_back_part(results: Mapping[str, Any]) -> Part:
    """What one model keeps of a generalist and its specialists, from the same ``results.json``."""
    systems = _systems(results)
    rows = [rate_row("generalist, %", systems["generalist"], "frame_accuracy")]
    rows.append(rate_row("generalist + specialists, %", systems["fused"], "frame_accuracy"))
    rows += [rate_row(f"{name}, %", systems[name], "frame_accuracy") for name in STUDENTS if name in systems]
    blocks = [rows_table(rows)]
    if all(name in systems for name in STUDENTS):
        plain, whole = (systems[name] for name in STUDENTS)
        ci = difference(whole["gain_ci"], plain["gain_ci"])
        told = sign(ci, above="above", below="below")
        told = "not told from" if told == OPEN else told
        blocks.append(
            f"Over the generalist, the student of both has {points(whole['gain'], whole['gain_ci'])}, the student of "
            f"the generalist alone {points(plain['gain'], plain['gain_ci'])}: **{told}** it, by "
            f"{points(whole['gain'] - plain['gain'], ci)}."
        )
    else:
        blocks.append("No students of generalist and specialists were trained.")
    return Part(facts=f"{results['test']['labelled_frames']:,} labelled test frames.", blocks=blocks)


def _systems(results: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """Systems by name; the fusion that was chosen on dev as ``fused``."""
    chosen = results["chosen_on_dev"]
    systems = {row["name"]: row for row in results["systems"] if not row["num_best"]}
    (systems["fused"],) = (
        row for row in results["systems"] if (row["name"], row["num_best"]) == (chosen["name"], chosen["num_best"])
    )
    return systems


def _relative(gain: float, base: Mapping[str, Any]) -> float:
    return float(gain / base["frame_accuracy"])


def _relative_ci(row: Mapping[str, Any], base: Mapping[str, Any]) -> Interval:
    """The generalist's accuracy varies far less, relatively, than the gain does: taken as known."""
    low, high = (_relative(end, base) for end in row["gain_ci"])
    return low, high


def _best(number: int) -> str:
    return "best state" if number == 1 else f"{number} best states"


def _control(systems: Mapping[str, Mapping[str, Any]]) -> str:
    if TRAINED_ON not in systems:
        return ""
    control, fused = systems[TRAINED_ON], systems["fused"]
    ci = difference(fused["gain_ci"], control["gain_ci"])
    told = sign(ci, above="more", below="less")
    told = "which is not told from that" if told == OPEN else f"the specialists bring {told}"
    return f"; the generalist trained on as long has {points(control['gain'], control['gain_ci'])}: {told}"


def _coverage_rows(results: Mapping[str, Any]) -> list[Row]:
    most = len(figures.GAIN_BY_COVERAGE) - 1
    rows = []
    for row in results["coverage"]:
        number = min(row["specialists"], most)
        plural = f"{number}{' or more' if number == most else ''} specialist{'' if number == 1 else 's'}"
        what = f"{plural} ({row['states']} states, {row['frames']:,} frames)"
        paper = figures.GAIN_BY_COVERAGE[number]
        change, ci = row["relative_change"], row["relative_change_ci"]
        rows.append(Row(what=what, paper=paper, value=change, ci=ci, form="+.2f"))
    return rows


def _coverage(results: Mapping[str, Any]) -> Claim:
    """Grows: each row is above the one before, or at least the last one above the first beyond noise."""
    rows = sorted(results["coverage"], key=lambda row: int(row["specialists"]))
    said = ", ".join(f"{row['specialists']}: {percent(row['relative_change'], form='+.2f')}" for row in rows)
    if len(rows) < 2:
        return Claim(figures.COVERAGE, OPEN, f"all states are covered alike ({said})")
    changes = [row["relative_change"] for row in rows]
    ci = difference(rows[-1]["relative_change_ci"], rows[0]["relative_change_ci"])
    here = f"by their number {said}; last less first {points(changes[-1] - changes[0], ci)}"
    verdict = sign(ci, above=PATTERN)
    if verdict == PATTERN and changes == sorted(changes):
        verdict = HOLDS
    return Claim(figures.COVERAGE, verdict if verdict in (HOLDS, PATTERN, OPEN) else DIFFERS, here)
