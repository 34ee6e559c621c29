"""Tables 3 and 4 beside ours: what specialists add to a generalist, and what one model keeps of both."""

from collections.abc import Mapping
from typing import Any

from asr_kd.score.paper import figures
from asr_kd.score.paper.claims import DIFFERS, HOLDS, OPEN, WEAKER, Claim, Interval, difference, judge_gain, sign
from asr_kd.score.paper.table import Part, Row, difference_ci, percent, points, rate_row, rows_table, tested_on

STUDENTS = ("student of generalist", "student of generalist + specialists")
TRAINED_ON = "trained on"
NO_MORE = f"{OPEN}, the generalist trained on gains as much"
NO_CONTROL = f"{OPEN}, without a generalist trained on"

System = Mapping[str, Any]


def specialists_part(results: Mapping[str, Any]) -> Part:
    """The tables and the claims of one ``results.json`` of `asr-kd specialist-report`."""
    plain, chosen = _plain(results), _fusion(results, "chosen_on_dev")
    base, number = plain["generalist"], _number(results, chosen)
    rows = [
        rate_row("generalist, %", base, "frame_accuracy", figures.TOP_1["generalist"]),
        rate_row(f"with {number} specialists, %", chosen, "frame_accuracy", figures.TOP_1["specialists"]),
        Row(
            what="relative gain, %",
            paper=figures.SPECIALISTS_GAIN,
            value=_relative(chosen["gain"], base),
            ci=_relative_ci(chosen, base),
            form="+.2f",
        ),
    ]
    if TRAINED_ON in plain:
        rows.append(rate_row("generalist trained on, without specialists, %", plain[TRAINED_ON], "frame_accuracy"))
    kinds = _classes(results)
    facts = (
        f"{_tested_on(results)}, {results['num_pdfs']} {kinds}. {chosen['name'].capitalize()} specialists, asked by "
        f"the generalist's {_best(chosen['num_best'], kinds)}: chosen on dev. {_clustering(results)}"
    )
    by_number = "Relative change by the number of specialists that cover the correct class, %:"
    return Part(
        facts=facts,
        blocks=[rows_table(rows), by_number, rows_table(_coverage_rows(results))],
        claims=[_gain(plain, chosen, number), _coverage(results)],
    )


def distilled_back_part(results: Mapping[str, Any]) -> Part:
    """What one model keeps of a generalist and its specialists, from the same ``results.json``."""
    plain, chosen = _plain(results), _fusion(results, "chosen_on_dev")
    # Files of earlier versions do not say which fusion the students learnt from.
    distilled = _fusion(results, "distilled") if results.get("distilled") else None
    rows = [rate_row("generalist, %", plain["generalist"], "frame_accuracy")]
    if distilled is not None:
        as_chosen = ", chosen on dev" if distilled is chosen else ""
        rows.append(rate_row(f"{_named(distilled)} (distilled{as_chosen}), %", distilled, "frame_accuracy"))
    if distilled is not chosen:
        rows.append(rate_row(f"{_named(chosen)} (chosen on dev), %", chosen, "frame_accuracy"))
    rows += [rate_row(f"{name}, %", plain[name], "frame_accuracy") for name in STUDENTS if name in plain]
    blocks = [rows_table(rows)]
    if all(name in plain for name in STUDENTS):
        if distilled is None:
            blocks.append("Which fusion the students learnt from is not in `results.json`.")
        blocks.append(_students(*(plain[name] for name in STUDENTS)))
    else:
        blocks.append("No students of generalist and specialists were trained.")
    return Part(facts=f"{_tested_on(results)}.", blocks=blocks)


def _plain(results: Mapping[str, Any]) -> dict[str, System]:
    """Systems that are no fusion, by name."""
    return {row["name"]: row for row in results["systems"] if not row["num_best"]}


def _fusion(results: Mapping[str, Any], which: str) -> System:
    """The fusion that was chosen on dev, or distilled."""
    meant = results[which]["name"], results[which]["num_best"]
    (row,) = (row for row in results["systems"] if (row["name"], row["num_best"]) == meant)
    found: System = row
    return found


def _named(fusion: System) -> str:
    return f"generalist + {fusion['name']} specialists, n = {fusion['num_best']}"


def _number(results: Mapping[str, Any], fusion: System) -> int:
    return sum(row["kind"] == fusion["name"] for row in results["specialists"])


def _tested_on(results: Mapping[str, Any]) -> str:
    return tested_on(results["test"]["labelled_frames"], results["test"]["utterances"])


def _is_of_images(results: Mapping[str, Any]) -> bool:
    return bool(results["test"]["labelled_frames"] == results["test"]["utterances"])


def _classes(results: Mapping[str, Any]) -> str:
    return "classes" if _is_of_images(results) else "states"


def _clustering(results: Mapping[str, Any]) -> str:
    """What K-means clustered, which need not be the paper's covariance."""
    found = results.get("clusters")
    if found is None:
        return "What was clustered is not in `results.json`; the paper clusters the predictions' covariance."
    paper = "the paper's" if found["matrix"] == "covariance" else "the paper: of their covariance"
    return f"Clusters of the {found['matrix']} of predictions at T = {found['temperature']:g} ({paper})."


def _relative(gain: float, base: System) -> float:
    return float(gain / base["frame_accuracy"])


def _relative_ci(row: System, base: System) -> Interval:
    """The generalist's accuracy varies far less, relatively, than the gain does: taken as known."""
    low, high = (_relative(end, base) for end in row["gain_ci"])
    return low, high


def _best(number: int, kinds: str) -> str:
    return f"{number} best {kinds}" if number > 1 else "best class" if kinds == "classes" else "best state"


def _gain(plain: Mapping[str, System], chosen: System, number: int) -> Claim:
    """A gain that the generalist has by being trained on for as long is not the specialists'."""
    base = plain["generalist"]
    relative, relative_ci = _relative(chosen["gain"], base), _relative_ci(chosen, base)
    verdict = judge_gain(relative_ci, figures.SPECIALISTS_GAIN)
    detail = (
        f"{points(chosen['gain'], chosen['gain_ci'])} with {number} specialists; the generalist trained on as long "
    )
    if TRAINED_ON not in plain:
        verdict = NO_CONTROL if relative_ci[0] > 0 else verdict
        detail += "was not scored"
    else:
        control = plain[TRAINED_ON]
        more, more_ci = control["chosen_over_it"], control["chosen_over_it_ci"]
        if relative_ci[0] > 0:
            against = sign(more_ci)
            verdict = NO_MORE if against == OPEN else DIFFERS if against == DIFFERS else verdict
        detail += f"has {points(control['gain'], control['gain_ci'])}, the specialists over it {points(more, more_ci)}"
    return Claim(
        statement=figures.SPECIALISTS,
        verdict=verdict,
        paper=percent(figures.SPECIALISTS_GAIN, form="+.1f"),
        here=percent(relative, relative_ci, "+.2f"),
        detail=detail,
    )


def _students(plain: System, whole: System) -> str:
    """The student of generalist and specialists against that of the generalist alone, in a sentence."""
    more, ci = whole["gain"] - plain["gain"], difference_ci(whole, plain, "gain_ci")
    error = _seed_error(plain, whole)
    told = sign(ci, above="above", below="below")
    told = "not told from" if told == OPEN or (error is not None and abs(more) <= 2 * error) else told
    seeds = "one seed each" if error is None else f"standard error over seeds {100 * error:.2f}"
    both, alone = (points(row["gain"], row["gain_ci"]) for row in (whole, plain))
    return (
        f"Over the generalist, the student of both has {both}, the student of the generalist alone {alone}: **{told}** "
        f"it, by {points(more, ci)}, {seeds}."
    )


def _seed_error(a: System, b: System) -> float | None:
    """The standard error of a difference of two means over seeds; None where one of them has one seed."""
    if a["frame_accuracy_std"] is None or b["frame_accuracy_std"] is None:
        return None
    return float(sum(row["frame_accuracy_std"] ** 2 / row["runs"] for row in (a, b)) ** 0.5)


def _coverage_rows(results: Mapping[str, Any]) -> list[Row]:
    """A row for each of the paper's; those that no class of ours belongs to have no figure."""
    most = len(figures.GAIN_BY_COVERAGE) - 1
    ours = {min(row["specialists"], most): row for row in results["coverage"]}
    kinds, cases = _classes(results), "images" if _is_of_images(results) else "frames"
    rows = []
    for number, paper in enumerate(figures.GAIN_BY_COVERAGE):
        what = f"{number}{' or more' if number == most else ''} specialist{'' if number == 1 else 's'}"
        row = ours.get(number)
        if row is None:
            rows.append(Row(what=what, paper=paper, value=None, form="+.2f"))
            continue
        what += f" ({row['states']} {kinds}, {row['frames']:,} {cases})"
        change, ci = row["relative_change"], row["relative_change_ci"]
        rows.append(Row(what=what, paper=paper, value=change, ci=ci, form="+.2f"))
    return rows


def _coverage(results: Mapping[str, Any]) -> Claim:
    """Grows: each row is above the one before, or at least the last one above the first beyond noise."""
    known = [row for row in results["coverage"] if row["relative_change"] is not None]
    rows = sorted(known, key=lambda row: int(row["specialists"]))
    changes = [row["relative_change"] for row in rows]
    said = ", ".join(f"{row['specialists']}: {percent(row['relative_change'], form='+.2f')}" for row in rows)
    most = len(figures.GAIN_BY_COVERAGE) - 1
    if len(rows) < 2:
        alike = len(known) == len(results["coverage"])
        verdict, here = OPEN, "all are covered alike" if alike else "too few frames that the generalist has right"
    else:
        # Of different frames: there is no pairing to use.
        ci = difference(rows[-1]["relative_change_ci"], rows[0]["relative_change_ci"])
        verdict = sign(ci, above=HOLDS if changes == sorted(changes) else WEAKER)
        fewest, most_of_ours = rows[0]["specialists"], rows[-1]["specialists"]
        here = f"{percent(changes[-1] - changes[0], ci, '+.2f')} from {fewest} to {most_of_ours}"
    return Claim(
        statement=figures.COVERAGE,
        verdict=verdict,
        paper=f"{percent(figures.GAIN_BY_COVERAGE[most], form='+.1f')} from 0 to {most} or more",
        here=here,
        detail=f"relative change by their number: {said}",
    )
