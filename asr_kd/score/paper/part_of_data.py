"""Table 5 beside ours: a part of the data with hard and with soft targets."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from asr_kd.score.paper import figures
from asr_kd.score.paper.claims import DIFFERS, HOLDS, OPEN, WEAKER, Claim, judge_share, sign
from asr_kd.score.paper.table import Part, Row, percent, points, rate_row, rows_table, tested_on

_NEAR_FULL = 0.95  # of the paper's share: three quarters of it is what hard targets reach
_LITTLE_FALL = 0.01  # of frame accuracy on dev, from its best to the last look: no early stopping needed
_LITTLE_RISE = 0.05  # of cross-entropy on dev, in nats

System = Mapping[str, Any]


def part_of_data_part(results: Mapping[str, Any]) -> Part:
    """The table and the claims of one ``results.json`` of `asr-kd regularizer-report`."""
    rows: list[Row] = []
    for system in results["systems"]:
        train, test = _paper(system, results) or (None, None)
        what = f"{system['name']}, {percent(system['fraction'], form='g')} of the data"
        own = system["train_frame_accuracy"]
        rows.append(Row(what=f"{what}, train, %", paper=train, value=own, seeds=system["seeds"]))
        rows.append(rate_row(f"{what}, test, %", system, "frame_accuracy", test))
    claims: list[Claim] = []
    fraction = _nearest(results["systems"])
    for system in results["systems"]:
        if system["fraction"] == fraction and _is_soft(system):
            claims += _claims(system, results)
    tested = tested_on(results["test_frames"], results["test_utterances"])
    facts = f"Frame accuracy on {tested}, {results['num_pdfs']} pdfs."
    if "seed" in results["bootstrap"]["unit"]:
        facts += " Intervals hold the chance of the test set and of seeds."
    return Part(facts=facts, blocks=[rows_table(rows)], claims=claims)


def _nearest(systems: Sequence[System]) -> float | None:
    """The share of the data nearest to the paper's, by their ratio."""
    shares = {float(system["fraction"]) for system in systems if system["fraction"] < 1 and _is_soft(system)}
    return min(shares, key=lambda share: abs(math.log(share / figures.FRACTION)), default=None)


def _is_soft(system: System) -> bool:
    return str(system["name"]).startswith("soft")


def _paper(system: System, results: Mapping[str, Any]) -> tuple[float, float] | None:
    """The paper's row, train and test, for the same share of the data."""
    if system["name"] == results["full"] and system["fraction"] == 1:
        return figures.FULL
    if system["fraction"] != figures.FRACTION:
        return None
    return figures.HARD_PART if system["name"] == results["hard"] else figures.SOFT_PART if _is_soft(system) else None


def _claims(system: System, results: Mapping[str, Any]) -> list[Claim]:
    """Of one kind of soft targets."""
    alike = {row["name"]: row for row in results["systems"] if row["fraction"] == system["fraction"]}
    who = f"{system['name']}, {percent(system['fraction'], form='g')} of the data"
    share_ci = system["share_of_full_ci"]
    claims = [
        Claim(
            statement=figures.PART,
            about=who,
            # That a share of an accuracy is above 0 says nothing: soft targets must beat hard ones.
            verdict=sign(system["over_hard_ci"], above=judge_share(share_ci, figures.SHARE_OF_FULL, least=_NEAR_FULL)),
            paper=percent(figures.SHARE_OF_FULL),
            here=percent(system["share_of_full"], share_ci),
            detail=f"{points(system['over_hard'], system['over_hard_ci'])} over hard targets with early stopping",
        )
    ]
    if system["recovered"] is None:
        verdict, here = OPEN, "hard targets lose nothing above noise on this share"
    else:
        verdict = judge_share(system["recovered_ci"], figures.RECOVERED)
        here = percent(system["recovered"], system["recovered_ci"])
    paper = percent(figures.RECOVERED, form=".0f")
    claims.append(Claim(statement=figures.REGAINED, about=who, verdict=verdict, paper=paper, here=here))
    if results["full"] in alike:
        claims.append(_no_stopping(who, system, alike[results["full"]]))
    return claims


def _no_stopping(who: str, soft: System, hard: System) -> Claim:
    """Whether training on takes accuracy on dev away again, or at least makes the net too sure of itself."""
    fall, hard_fall = soft["dev_accuracy_fall"], hard["dev_accuracy_fall"]
    rise, hard_rise = soft["dev_cross_entropy_rise"], hard["dev_cross_entropy_rise"]
    if fall > _LITTLE_FALL:
        verdict = WEAKER if fall < hard_fall else DIFFERS
    elif hard_fall > max(2 * fall, _LITTLE_FALL):
        verdict = HOLDS
    else:
        verdict = WEAKER if hard_rise > max(2 * rise, _LITTLE_RISE) else OPEN
    return Claim(
        statement=figures.NO_STOPPING,
        about=who,
        verdict=verdict,
        paper="in words",
        here=f"accuracy on dev falls by {100 * fall:.1f} points with soft targets, by {100 * hard_fall:.1f} with hard "
        f"ones, and cross-entropy rises by {rise:.2f} and {hard_rise:.2f} nats",
        detail="from the best look to the last, means over seeds, without intervals",
    )
