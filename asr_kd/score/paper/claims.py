"""A statement of the paper beside own figures: whether it holds, by one rule, and the figures that say so."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from asr_kd.score.paper.figures import Statement

HOLDS, WEAKER, OPEN, DIFFERS = "holds", "same direction, weaker", "open", "differs"
NEARLY = 0.75  # of the paper's figure: an interval that reaches the figure and below this is too wide to hold it
_BEST_FIRST = (HOLDS, WEAKER, OPEN, DIFFERS)

Interval = tuple[float, float]


@dataclass(frozen=True, kw_only=True)
class Claim:
    """A statement, and what became of it.

    Attributes:
        about: which of several systems, where a table has more than one of a kind.
        paper: the paper's figure, with its unit.
        here: ours, with its interval; without a semicolon.
        detail: the figures behind it.
    """

    statement: Statement
    verdict: str
    about: str = ""
    paper: str
    here: str
    detail: str = ""

    def line(self) -> str:
        """As it stands on the page, in the form that `asr_kd.score.paper.kept` reads again."""
        about = f" ({self.about})" if self.about else ""
        here = "; ".join(filter(None, (self.here, self.detail)))
        return f"- **{self.verdict}**: {self.statement.text}{about}. Paper: {self.paper}. Here: {here}."


def judge_gain(ci: Sequence[float], paper: float, *, least: float = NEARLY) -> str:
    """What an interval says of a gain that the paper found to be ``paper``.

    holds: it reaches the paper's, and all of it is at least ``least`` of that. same direction, weaker: all of it is
    above 0 and short of the paper's. open: it holds 0, or is too wide to tell. differs: all of it is below 0.

    Args:
        least: 1 where the paper says *at least* so much: all of the interval must be.
    """
    low, high = ci
    if low > 0 and high >= paper:
        return HOLDS if low >= least * paper else OPEN
    return sign(ci, above=WEAKER)


def judge_share(ci: Sequence[float], paper: float, *, least: float = NEARLY) -> str:
    """What an interval says of a share of something, whose size does not depend on the corpus as a gain's does.

    As `judge_gain`, but one that is short of the paper's share and may be 0 or less differs from it.
    """
    return DIFFERS if ci[0] <= 0 and ci[1] < paper else judge_gain(ci, paper, least=least)


def sign(ci: Sequence[float], *, above: str = HOLDS, below: str = DIFFERS) -> str:
    """A verdict on the side of 0 that an interval is on; open where it holds 0."""
    low, high = ci
    return above if low > 0 else below if high < 0 else OPEN


def worst(verdicts: Iterable[str]) -> str:
    """The least favourable of some verdicts."""
    return max(verdicts, key=_BEST_FIRST.index)


def difference(a: Sequence[float], b: Sequence[float]) -> Interval:
    """An interval of a - b from the ends of two intervals: too wide rather than too narrow."""
    return a[0] - b[1], a[1] - b[0]


def ratio(a: Sequence[float], b: Sequence[float]) -> Interval:
    """An interval of a / b, both above 0, from the ends of two intervals: too wide rather than too narrow."""
    return a[0] / b[1], a[1] / b[0] if b[0] > 0 else float("inf")


def wilson(share: float, number: int) -> Interval:
    """The 95 % interval of a share of ``number`` cases (Wilson 1927): not empty at 0 and 1, as a bootstrap's is."""
    z = 1.959964
    middle = (share + z * z / (2 * number)) / (1 + z * z / number)
    half = z / (1 + z * z / number) * (share * (1 - share) / number + z * z / (4 * number**2)) ** 0.5
    return middle - half, middle + half
