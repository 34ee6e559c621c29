"""The grid of a sweep: lists of values, and the cells that they span."""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, fields

from asr_kd.errors import UsageError
from asr_kd.options import option

SETS = ("dev", "test")  # that every student is evaluated on


@dataclass(frozen=True, kw_only=True)
class Cell:
    """One student's settings; its seeds are its repetitions."""

    temperature: float
    soft_weight: float
    hard_weight: float
    hidden_dim: int

    @property
    def name(self) -> str:
        """A directory's name. It has every dimension, so that a list that grows renames nothing."""
        weights = f"soft{show(self.soft_weight)}-hard{show(self.hard_weight)}"
        return f"T{show(self.temperature)}-{weights}-dim{self.hidden_dim}"

    def run_name(self, seed: int) -> str:
        """The name of the cell's student of one seed."""
        return f"{self.name}-seed{seed}"


DIMENSIONS = tuple(field.name for field in fields(Cell))


@dataclass(frozen=True, kw_only=True)
class GridOptions:
    """The values to try; every combination is a cell."""

    temperatures: tuple[float, ...] = option("temperatures of soft targets and student", default=(2.0,))
    soft_weights: tuple[float, ...] = option("weights of the soft targets' term", default=(0.9,))
    hard_weights: tuple[float, ...] = option("weights of the labels' term", default=(0.1,))
    hidden_dims: tuple[int, ...] = option("units of a hidden layer, instead of --hidden-dim", default=())
    seeds: tuple[int, ...] = option("a student of every cell for each, instead of --seed", default=())

    def __post_init__(self) -> None:
        for field in fields(self):
            _check_values(f"--{field.name.replace('_', '-')}", getattr(self, field.name), needed=field.default != ())
        for flag, values in (("--temperatures", self.temperatures), ("--hidden-dims", self.hidden_dims)):
            for value in values:
                if not value > 0:
                    raise UsageError(f"{flag} must be above 0, got {value:g}")
        for flag, weights in (("--soft-weights", self.soft_weights), ("--hard-weights", self.hard_weights)):
            for weight in weights:
                if not weight >= 0:
                    raise UsageError(f"{flag} must not be negative, got {weight:g}")
        if 0 in self.soft_weights and 0 in self.hard_weights:
            raise UsageError(
                "--soft-weights and --hard-weights both have 0: a student of both would learn from nothing"
            )

    def cells(self, hidden_dim: int) -> list[Cell]:
        """Every combination, the last dimension varying fastest.

        Args:
            hidden_dim: the width where no list of widths is given.
        """
        return [
            Cell(temperature=temperature, soft_weight=soft, hard_weight=hard, hidden_dim=width)
            for temperature, soft, hard, width in itertools.product(
                self.temperatures, self.soft_weights, self.hard_weights, self.hidden_dims or (hidden_dim,)
            )
        ]


def _check_values(flag: str, values: Sequence[float], *, needed: bool) -> None:
    if needed and not values:
        raise UsageError(f"{flag} needs one value or more")
    for value in values:
        if values.count(value) > 1:
            raise UsageError(f"{flag} has {value:g} twice")


def show(value: float) -> str:
    """A value as short as it can be without another value looking the same."""
    return str(float(value)).removesuffix(".0")
