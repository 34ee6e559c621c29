"""Beyond the paper: what an ensemble gains from how many members, and other transfer sets."""

from collections.abc import Mapping
from typing import Any

from asr_kd.score.paper import figures
from asr_kd.score.paper.table import Part, Row, percent, points, rate_row, rows_table, share_row, tested_on


def ledger_part(results: Mapping[str, Any]) -> Part:
    """Gain against the number of members, from one ``results.json`` of `asr-kd ensemble-report`."""
    rows = [rate_row("mean member, %", results["mean_member"], "frame_accuracy")]
    for row in results["gain"][1:]:
        own, members = row["arithmetic"], row["members"]
        rows.append(
            Row(
                what=f"gain of {members} members, points",
                paper=figures.ENSEMBLE_GAIN if members == figures.MEMBERS else None,
                value=own["frame_accuracy_gain"],
                ci=own["frame_accuracy_gain_ci"],
                form="+.2f",
            )
        )
    beyond, ci = results["headroom"]["oracle_over_ensemble"], results["headroom"]["oracle_over_ensemble_ci"]
    rows.append(Row(what="oracle over the ensemble, points", value=beyond, ci=ci, form="+.2f"))
    for row in results["students"]:
        what = f"{row['name']}: share of the gain, %"
        share, ci, std = (row.get(f"frame_accuracy_share{part}") for part in ("", "_ci", "_std"))
        rows.append(share_row(what, share, ci, std=std, seeds=row["seeds"]))
    tested = tested_on(results["labelled_frames"], results["utterances"])
    facts = f"{len(results['members'])} members on {tested}, {results['num_pdfs']} classes."
    return Part(facts=facts, blocks=[rows_table(rows), _from_how_many(results)])


def transfer_part(results: Mapping[str, Any]) -> Part:
    """Students of one ensemble on different transfer sets, from one ``results.json`` of `asr-kd score-frames`."""
    rows = [rate_row(f"{row['name']}, %", row, "frame_accuracy") for row in results["systems"]]
    students = [row for row in results["systems"] if row["kept"] is not None]
    for row in students:
        what = f"{row['name']}: gain kept, %"
        rows.append(share_row(what, row["kept"], row["kept_ci"], seeds=row["seeds"]))
    facts = f"{tested_on(results['test_frames'], results['test_utterances'])}."
    blocks = [rows_table(rows)]
    if students:
        best = max(students, key=lambda row: float(row["kept"]))
        most = f"Most is kept with `{best['name']}`: {percent(best['kept'], best['kept_ci'], '.0f')}."
        blocks.append(most if best["kept"] > 0 else "None of them keeps any of the gain.")
    return Part(facts=facts, blocks=blocks)


def _from_how_many(results: Mapping[str, Any]) -> str:
    """From how many members half of the gain of all comes, where there is one."""
    last = results["gain"][-1]
    number = last["members"]
    gain, ci = last["arithmetic"]["frame_accuracy_gain"], last["arithmetic"]["frame_accuracy_gain_ci"]
    if ci[0] <= 0:
        return f"The gain of {number} members is not above noise: {points(gain, ci)}."
    shares = {row["members"]: row["arithmetic"]["frame_accuracy_gain"] / gain for row in results["gain"]}
    half = min(members for members, share in shares.items() if share >= 0.5)
    return (
        f"{half} of {number} members bring {percent(shares[half], form='.0f')} of the gain of all, which is "
        f"{points(gain, ci)}."
    )
