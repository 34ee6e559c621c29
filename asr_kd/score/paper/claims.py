"""A statement of the paper beside own figures: whether it holds, by one rule, and the figures that say so."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from asr_kd.score.paper.figures import Statement

HOLDS, PATTERN, OPEN, DIFFERS = "holds", "holds in pattern", "open", "differs"
_BEST_FIRST = (HOLDS, PATTERN, OPEN, DIFFERS)

Interval = tuple[float, float]


@dataclass(frozen=True)
class Claim:
    """A statement, what became of it, and our figures in a sentence."""

    statement: Statement
    verdict: str
    here: str


def judge_gain(ci: Sequence[float], paper: float) -> str:
    """What an interval says of a gain whose size is a matter of the corpus, and which the paper found to be ``paper``.

    holds: all of it is above half of the paper's gain, and it reaches the paper's. holds in pattern: all of it is
    above 0. differs: all of it is below 0. open: it holds 0.
    """
    low, high = ci
    return HOLDS if low >= paper / 2 and high >= paper else sign(ci, above=PATTERN)


def judge_share(ci: Sequence[float], paper: float) -> str:
    """What an interval says of a share of something, whose size can be compared with the paper's.

    Two questions: does the interval reach the paper's share, and is all of it above half of that? holds: both. holds
    in pattern: the second alone. open: the first alone. differs: neither.
    """
    low, high = ci
    if low >= paper / 2:
        return HOLDS if high >= paper else PATTERN
    return OPEN if high >= paper else DIFFERS


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
