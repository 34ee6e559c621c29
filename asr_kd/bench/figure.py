"""A figure: what was measured, beside the goal it is held to."""

from dataclasses import dataclass

NOISE = 0.1  # a goal missed by no more than this part is met as far as one run can tell


@dataclass(frozen=True)
class Goal:
    """What a figure should come to: at least a value, or at most."""

    value: float
    at_most: bool = False

    def judge(self, value: float) -> str:
        """``met``, ``within noise`` or ``missed``."""
        better = self.value / value if self.at_most else value / self.value
        return "met" if better >= 1 else "within noise" if better >= 1 - NOISE else "missed"


@dataclass(frozen=True, kw_only=True)
class Figure:
    """One line of a benchmark.

    Attributes:
        key: its name in the JSON.
        text: what it is, and relative to what.
        value: None where it could not be measured; ``note`` then says why.
        unit: ``x`` for a ratio, ``%`` for a part that is shown in per cent.
        goal: what it should come to, where there is a goal.
        note: what a reader must know to read the value.
    """

    key: str
    text: str
    value: float | None
    unit: str = "x"
    goal: Goal | None = None
    note: str = ""

    @property
    def verdict(self) -> str:
        """``met``, ``within noise``, ``missed``, ``not measured``; empty where there is no goal."""
        if self.goal is None:
            return ""
        return "not measured" if self.value is None else self.goal.judge(self.value)

    def shown(self) -> str:
        """The value with its unit, to three digits; the note where there is none."""
        return self.note if self.value is None else show(self.value, self.unit)

    def shown_goal(self) -> str:
        """The goal with its unit; empty where there is none."""
        if self.goal is None:
            return ""
        return f"{'at most' if self.goal.at_most else 'at least'} {show(self.goal.value, self.unit)}"


def show(value: float, unit: str) -> str:
    """A value to three digits with its unit."""
    if unit == "%":
        return f"{_three_digits(100 * value)} %"
    return f"{_three_digits(value)}{'' if unit == 'x' else ' '}{unit}"


def _three_digits(value: float) -> str:
    if abs(value) >= 100:
        return f"{value:,.0f}"
    if 0 < abs(value) < 0.01:
        return f"{value:.1e}"
    return f"{value:.3g}"
