"""The one form of table that a section has: the paper's figure, ours, its spread over seeds and its interval."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from asr_kd.score.markdown import table
from asr_kd.score.paper.claims import Claim, Interval, difference

NO_SHARE = "worse than the baseline by more than the gain"


@dataclass(frozen=True, kw_only=True)
class Row:
    """One figure.

    Attributes:
        what: with its unit.
        paper: the paper's figure, in ours' scale; None where it has none.
        value: ours, None where there is none.
        ci: its 95 % interval.
        std: standard deviation over seeds.
        scale: of all of these.
        form: how a figure is written.
    """

    what: str
    paper: float | None = None
    value: float | None
    ci: Sequence[float] | None = None
    std: float | None = None
    seeds: int | None = None
    scale: float = 100
    form: str = ".2f"

    def cells(self) -> list[str]:
        """A row of the table."""
        spread = self.form.lstrip("+")
        return [
            self.what,
            self._paper(),
            self._text(self.value),
            "" if self.std is None else f"± {self.scale * self.std:{spread}}",
            "" if self.ci is None else f"[{self._text(self.ci[0])}, {self._text(self.ci[1])}]",
            "" if self.seeds is None else str(self.seeds),
        ]

    def _paper(self) -> str:
        """Without the zeros behind the point that ours has."""
        digits, plus = int(self.form[-2]), self.form[: -len(".1f")]
        return "-" if self.paper is None else f"{round(self.scale * self.paper, digits):{plus}g}"

    def _text(self, value: float | None) -> str:
        return "-" if value is None else f"{self.scale * value:{self.form}}"


@dataclass(frozen=True, kw_only=True)
class Part:
    """What one ``results.json`` has to say in a section.

    Attributes:
        facts: test set and states, in a line.
        blocks: tables and remarks as Markdown.
        claims: the paper's statements beside it.
    """

    facts: str
    blocks: Sequence[str]
    claims: Sequence[Claim] = field(default=())


def rows_table(rows: Sequence[Row]) -> str:
    """Rows as Markdown."""
    header = ("", "paper", "ours", "± over seeds", "95 % interval", "seeds")
    return table(header, [row.cells() for row in rows])


def rate_row(what: str, found: Mapping[str, Any], metric: str, paper: float | None = None) -> Row:
    """The row of a system's rate, in per cent, from its row of a ``results.json``."""
    value, ci, std = (found[f"{metric}{part}"] for part in ("", "_ci", "_std"))
    return Row(what=what, paper=paper, value=value, ci=ci, std=std, seeds=found.get("seeds", found.get("runs")))


def share_row(
    what: str,
    value: float | None,
    ci: Sequence[float] | None,
    *,
    std: float | None = None,
    seeds: int | None = None,
    paper: float | None = None,
) -> Row:
    """The row of a share of a gain, in per cent; no figure but a note where it is below -100 %, which is no share."""
    if value is not None and value < -1:
        return Row(what=f"{what} ({NO_SHARE})", paper=paper, value=None, seeds=seeds, form=".0f")
    return Row(what=what, paper=paper, value=value, ci=ci, std=std, seeds=seeds, form=".0f")


def share_text(value: float, ci: Sequence[float]) -> str:
    """A share of a gain in a sentence, likewise."""
    return NO_SHARE if value < -1 else percent(value, ci, ".0f")


def difference_ci(a: Mapping[str, Any], b: Mapping[str, Any], ends: str = "frame_accuracy_ci") -> Interval:
    """The interval of one system's frame accuracy less another's on the same frames, from their rows.

    The paired one where the file has it (key ``over``), else one from the ends of both rows' own intervals.

    Args:
        ends: key of these intervals.
    """
    paired = a.get("over", {}).get(b["name"])
    low, high = difference(a[ends], b[ends]) if paired is None else paired["frame_accuracy_ci"]
    return low, high


def tested_on(frames: int, utterances: int) -> str:
    """What a test set holds. An image is an utterance of one frame."""
    if frames == utterances:
        return f"{frames:,} test images"
    return f"{frames:,} labelled frames of {utterances:,} test utterances"


def percent(value: float, ci: Sequence[float] | None = None, form: str = ".1f") -> str:
    """A share as ``32.1 % [23.2, 40.1]``."""
    text = f"{100 * value:{form}} %"
    return text if ci is None else f"{text} [{100 * ci[0]:{form}}, {100 * ci[1]:{form}}]"


def points(value: float, ci: Sequence[float]) -> str:
    """A difference of shares as ``+1.62 points [+1.49, +1.75]``."""
    return f"{100 * value:+.2f} points [{100 * ci[0]:+.2f}, {100 * ci[1]:+.2f}]"
