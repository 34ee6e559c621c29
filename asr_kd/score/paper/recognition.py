"""Table 1 beside ours: baseline, ensemble and students in frame accuracy and WER."""

from collections.abc import Mapping
from typing import Any

from asr_kd.score.paper import figures
from asr_kd.score.paper.claims import DIFFERS, OPEN, Claim, judge_gain, judge_share
from asr_kd.score.paper.table import Part, Row, percent, points, rate_row, rows_table, share_row, share_text
from asr_kd.score.paper.training import training_note
from asr_kd.score.summary import SIGNIFICANT_P, gains, wer_verdict

_METRICS = (
    ("frame_accuracy", "frame accuracy", figures.FRAME_ACCURACY, figures.KEPT),
    ("wer", "WER", figures.WER, 1.0),
)


def recognition_part(results: Mapping[str, Any]) -> Part:
    """The table and the claims of one ``results.json`` of `asr-kd score`."""
    rows: list[Row] = []
    for metric, spoken, paper, kept_paper in _METRICS:
        for system in results["systems"]:
            members = f", {system['members']} nets" if system["members"] > 1 else ""
            what = f"{system['name']}{members} ({system['params']:,} parameters), {spoken}, %"
            rows.append(rate_row(what, system, metric, paper.get(system["name"])))
        for name, gain in gains(results).items():
            kept = {part: gain[f"{metric}{part}"] for part in ("", "_ci", "_std")}
            paper_share = kept_paper if name == "distilled" else None
            what = f"{name}: kept of the gain in {spoken}, %"
            rows.append(share_row(what, kept[""], kept["_ci"], std=kept["_std"], paper=paper_share))
    corpus = results["corpus"]
    facts = (
        f"{corpus['test_utterances']:,} test utterances, {corpus['test_words']:,} words, "
        f"{corpus['test_labelled_frames']:,} labelled frames, {results['num_pdfs']} pdfs."
    )
    return Part(facts=facts, blocks=[rows_table(rows), training_note(results)], claims=_claims(results))


def _claims(results: Mapping[str, Any]) -> list[Claim]:
    whole = results["ensemble_gain"]
    paper = f"{100 * figures.ENSEMBLE_GAIN:+.1f} points"
    if not whole:
        return [Claim(statement=figures.ENSEMBLE, verdict=OPEN, paper=paper, here="no ensemble was scored")]
    members = max(system["members"] for system in results["systems"])
    claims = [
        Claim(
            statement=figures.ENSEMBLE,
            verdict=judge_gain(whole["frame_accuracy_ci"], figures.ENSEMBLE_GAIN),
            paper=paper,
            here=points(whole["frame_accuracy"], whole["frame_accuracy_ci"]),
            detail=f"from {members} nets",
        )
    ]
    kept = gains(results).get("distilled")
    return [*claims, _kept_accuracy(kept), _kept_words(kept)] if kept else claims


def _kept_accuracy(kept: Mapping[str, Any]) -> Claim:
    """Against the 80 % that the paper says in words, not the 86 % of its table."""
    share, ci = kept["frame_accuracy"], kept["frame_accuracy_ci"]
    if share is None:
        verdict, here = OPEN, kept["reason"]["frame_accuracy"]
    else:
        verdict, here = judge_share(ci, figures.KEPT_AT_LEAST, least=1), share_text(share, ci)
    return Claim(statement=figures.STUDENT, verdict=verdict, paper=percent(figures.KEPT, form=".0f"), here=here)


def _kept_words(kept: Mapping[str, Any]) -> Claim:
    """A student that is worse than the ensemble beyond noise has not kept all, whatever the ensemble's gain is."""
    against = kept["significance"]["distilled_vs_ensemble"]
    if kept["wer"] is None:
        verdict, here = OPEN, kept["reason"]["wer"]
    else:
        verdict, here = judge_share(kept["wer_ci"], 1.0), share_text(kept["wer"], kept["wer_ci"])
    if (
        verdict == OPEN
        and against["wer_difference"] > 0
        and max(against["matched_pairs_p"], against["bootstrap_p"]) < SIGNIFICANT_P
    ):
        verdict = DIFFERS
    return Claim(
        statement=figures.WORDS,
        verdict=verdict,
        paper=percent(1.0, form=".0f"),
        here=here,
        detail=f"student less ensemble: {wer_verdict(against)}",
    )
