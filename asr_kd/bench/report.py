"""Figures as a table for the terminal and as JSON."""

from collections.abc import Sequence
from typing import Any

from asr_kd.bench.figure import Figure
from asr_kd.bench.suite import BENCHMARKS, Results

COLUMNS = (82, 20, 28)


def table(results: Results) -> str:
    """One benchmark's figures as lines: what, value, goal, whether it is met."""
    return "\n".join([f"{results.name}: {BENCHMARKS[results.name].title}", *map(_line, results.figures)])


def to_json(machine: dict[str, Any], results: Sequence[Results]) -> dict[str, Any]:
    """``{"machine": {...}, "fbank": {"vs_kaldi_native_fbank": 8.9, ...}, ...}``; null for what was not measured."""
    return {"machine": machine} | {one.name: {f.key: f.value for f in one.figures} for one in results}


def _line(figure: Figure) -> str:
    cells = (figure.text, figure.shown(), figure.shown_goal())
    padded = (f"{cell:<{width}}" for cell, width in zip(cells, COLUMNS, strict=True))
    return f"  {' '.join(padded)} {figure.verdict}".rstrip()
