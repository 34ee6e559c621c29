"""``RESULTS.md`` of an ensemble ledger: its figures as a page that says how to read them."""

from collections.abc import Mapping
from typing import Any

from asr_kd.score.bootstrap import drawn_units
from asr_kd.score.markdown import table
from asr_kd.score.origin import remade_by, titled

_READING = """\
- `[ , ]` are 95 % intervals: a bootstrap over {units}, the same resampled ones for every figure.
  The chance of training is not in them. `±` is the standard deviation over members, subsets or
  seeds; subsets share members, so theirs understates the chance of training.
- Cross-entropy, entropies and divergences are in nats a labelled frame, at temperature 1.
- **Arithmetic**: the mean of the members' softmaxes, the `ensemble` of the other tables. **Geometric**: the softmax of
  the mean of their log softmaxes. **Mean of logits**: the softmax of the mean of their logits. A log softmax is the
  logits less one number for the whole frame, which a softmax does not see: the last two are the same, but for frames
  where classes tie (logits computed in bf16 often do).
- The geometric mean's gain in cross-entropy is KL(geometric mean || member), the mean over the members, frame by frame
  and whatever the label: without disagreement no gain (Krogh & Vedelsby 1995; Heskes 1998).
- **Oracle**: at least one member is right. **Vote**: the decision of most members; a tie counts as the share that
  drawing lots would give.
- **Share of the gain**: (student - mean member) / (ensemble - mean member), where the ensemble's gain is above noise.
"""


def render_ledger(results: Mapping[str, Any]) -> str:
    """One page of Markdown from the dictionary of `asr_kd.score.ledger_results.build_ledger`."""
    parts = [
        f"# {titled('Ensemble ledger', results)}",
        f"Written by `asr-kd ensemble-report` from the models themselves. {remade_by(results)}",
        f"{len(results['members'])} members on {results['labelled_frames']:,} labelled frames of "
        f"{results['utterances']:,} utterances (`{results['frames']}`), {results['num_pdfs']} pdfs. "
        "`gain.png` draws the second table.",
        *("## Members and means", _systems(results)),
        *("## Gain against the number of members", _gain(results)),
        *("## Agreement", _right(results), _matrix(results)),
        *("## What is left to distil", _headroom(results), _information(results)),
    ]
    if results["students"]:
        parts += ["## Students", _students(results)]
    parts += ["## How to read the figures", _READING.format(units=drawn_units(results["bootstrap"]))]
    return "\n\n".join(part.strip("\n") for part in parts) + "\n"


def _systems(results: Mapping[str, Any]) -> str:
    named = [
        *((member["name"], member) for member in results["members"]),
        ("mean member", results["mean_member"]),
        *((f"{name} mean" if name != "logits" else "mean of logits", row) for name, row in results["means"].items()),
    ]
    return table(
        ("", "frame accuracy, %", "cross-entropy"),
        [(name, _rate(row, "frame_accuracy"), _nats(row, "cross_entropy")) for name, row in named],
    )


def _gain(results: Mapping[str, Any]) -> str:
    """Gains over the mean member; a subset's spread is that of its frame accuracy itself."""
    header = (
        "members",
        "subsets",
        "arithmetic mean, points",
        "of the gain of all",
        "nats",
        "geometric, points",
        "nats",
    )
    whole = results["gain"][-1]["arithmetic"]["frame_accuracy_gain"]
    rows = []
    for row in results["gain"][1:]:
        own = row["arithmetic"]
        share = f"{100 * own['frame_accuracy_gain'] / whole:.0f} %" if whole > 0 else "-"
        cells = [_points(own), share, _change(own), _points(row["geometric"]), _change(row["geometric"])]
        rows.append((str(row["members"]), str(row["subsets"]), *cells))
    return f"Over the mean member; `±` is over subsets of that size.\n\n{table(header, rows)}"


def _right(results: Mapping[str, Any]) -> str:
    right = results["right"]
    rows = [
        ("oracle: any member is right", _share(right["oracle"])),
        ("more than half of the members are right", _share(right["majority"])),
        ("all members are right", _share(right["all"])),
        ("vote of the members", _share(right["vote"])),
        ("two members decide differently (mean over pairs)", _share(results["disagreement"])),
    ]
    by = right["by_members"]
    numbers = table(
        ("members that are right", *map(str, range(len(by)))),
        [("frames, %", *(f"{100 * share:.1f}" for share in by))],
    )
    return f"{table(('', 'frames, %'), rows)}\n\n{numbers}"


def _matrix(results: Mapping[str, Any]) -> str:
    names = [member["name"] for member in results["members"]]
    rows = [
        (name, *("" if one == other else f"{100 * value:.1f}" for other, value in enumerate(row)))
        for one, (name, row) in enumerate(zip(names, results["disagreement"]["matrix"], strict=True))
    ]
    return f"Frames that two members decide differently, %:\n\n{table(('', *names), rows)}"


def _headroom(results: Mapping[str, Any]) -> str:
    head = results["headroom"]
    drop, (low, high) = head["cross_entropy_gain"], head["cross_entropy_gain_ci"]
    rows = [
        ("ensemble - mean member, frame accuracy, points", _points(head)),
        ("ensemble - mean member, cross-entropy, nats", f"**{drop:+.3f}** [{low:+.3f}, {high:+.3f}]"),
        ("oracle - ensemble, frame accuracy, points", _points(head, "oracle_over_ensemble")),
    ]
    return table(("", "difference"), rows)


def _information(results: Mapping[str, Any]) -> str:
    said = {
        "mean_to_members": "KL(ensemble \\|\\| member): how far a member is from the soft targets",
        "members_to_mean": "KL(member \\|\\| ensemble): ensemble's entropy less the members'",
        "geometric_to_members": "KL(geometric mean \\|\\| member): its gain in cross-entropy",
        "ensemble_entropy": "entropy of the ensemble",
        "member_entropy": "entropy of a member",
    }
    rows = [(text, _interval(results["information"][name], 1, ".3f")) for name, text in said.items()]
    return table(("mean over members and frames", "nats"), rows)


def _students(results: Mapping[str, Any]) -> str:
    header = (
        "student",
        "seeds",
        "frame accuracy, %",
        "cross-entropy",
        "share of the accuracy gain",
        "of the cross-entropy gain",
    )
    rows = [
        (
            row["name"],
            str(row["seeds"]),
            _rate(row, "frame_accuracy"),
            _nats(row, "cross_entropy"),
            _taken(row, "frame_accuracy"),
            _taken(row, "cross_entropy"),
        )
        for row in results["students"]
    ]
    reasons = sorted({reason for row in results["students"] for reason in row["reason"].values()})
    return "\n".join([table(header, rows), *(f"\nNo share is given (`-`): {reason}." for reason in reasons)])


def _rate(row: Mapping[str, Any], metric: str) -> str:
    low, high = row[f"{metric}_ci"]
    return f"**{100 * row[metric]:.2f}** [{100 * low:.2f}, {100 * high:.2f}]{_over(row, metric, 100, '.2f')}"


def _nats(row: Mapping[str, Any], metric: str) -> str:
    low, high = row[f"{metric}_ci"]
    return f"{row[metric]:.3f} [{low:.3f}, {high:.3f}]{_over(row, metric, 1, '.3f')}"


def _points(row: Mapping[str, Any], name: str = "frame_accuracy_gain") -> str:
    low, high = row[f"{name}_ci"]
    spread = _over(row, "frame_accuracy", 100, ".2f") if name == "frame_accuracy_gain" else ""
    return f"**{100 * row[name]:+.2f}** [{100 * low:+.2f}, {100 * high:+.2f}]{spread}"


def _change(row: Mapping[str, Any]) -> str:
    low, high = row["cross_entropy_gain_ci"]
    return f"{row['cross_entropy_gain']:+.3f} [{low:+.3f}, {high:+.3f}]{_over(row, 'cross_entropy', 1, '.3f')}"


def _taken(row: Mapping[str, Any], metric: str) -> str:
    if row[f"{metric}_share"] is None:
        return "-"
    low, high = row[f"{metric}_share_ci"]
    spread = _over(row, f"{metric}_share", 100, ".0f")
    return f"{100 * row[f'{metric}_share']:.0f} % [{100 * low:.0f}, {100 * high:.0f}]{spread}"


def _over(row: Mapping[str, Any], metric: str, scale: int, form: str) -> str:
    spread = row.get(f"{metric}_std")
    return "" if spread is None else f" ± {scale * spread:{form}}"


def _share(figure: Mapping[str, Any]) -> str:
    return _interval(figure, 100, ".2f")


def _interval(figure: Mapping[str, Any], scale: int, form: str) -> str:
    low, high = figure["ci"]
    return f"{scale * figure['value']:{form}} [{scale * low:{form}}, {scale * high:{form}}]"
