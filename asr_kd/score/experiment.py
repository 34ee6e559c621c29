"""What experiment directories say of their corpus, their wall time and their training curves."""

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from asr_kd.errors import DataError
from asr_kd.stage import RUN_FILE, read_run

_MS_PER_HOUR = 3_600_000
_ALIGNERS = ("mono", "tied")
_NO_STAGES = ("score", "calibration", "ledger", "regularizer", "specialists", "sweep", "transfer")


def corpus_facts(experiments: Sequence[Path]) -> dict[str, Any]:
    """Hours and utterances of every frame store: summed over the folds for test, their mean otherwise.

    Raises:
        DataError: a ``meta.json`` is unreadable or lacks a count.
    """
    hours: dict[str, list[float]] = {}
    utterances: dict[str, list[int]] = {}
    for experiment in experiments:
        for path in sorted((experiment / "frames").glob("*/meta.json")):
            meta = _read_meta(path)
            split = path.parent.name
            hours.setdefault(split, []).append(meta["num_frames"] * meta["frame_shift_ms"] / _MS_PER_HOUR)
            utterances.setdefault(split, []).append(int(meta["num_utterances"]))
    facts: dict[str, Any] = {}
    for split in sorted(hours, key=lambda name: (name not in ("train", "dev", "test"), name != "train", name)):
        combine = np.sum if split == "test" else np.mean
        facts[f"{split}_hours"] = float(combine(hours[split]))
        facts[f"{split}_utterances"] = round(float(combine(utterances[split])))
    return facts


def wall_seconds(experiments: Sequence[Path]) -> tuple[dict[str, float], float]:
    """Wall time of each command of a recipe's stages, and of all of them together.

    Stages lie in an experiment itself or one folder down; a fold's lie deeper. What ``--experiment`` made besides does
    not count.

    Runs side by side count once: the time is the length of the union of their intervals. An interrupted run counts
    until it wrote its last file.

    Returns:
        seconds by command in order of first start; seconds of all.
    """
    spans: dict[str, list[tuple[float, float]]] = {}
    for experiment in experiments:
        paths = [path for depth in ("", "*/", "*/*/") for path in experiment.glob(depth + RUN_FILE)]
        for path in paths:
            if path.relative_to(experiment).parts[0] in _NO_STAGES or path.parent.name == "score":
                continue
            run = read_run(path.parent)
            try:
                command = str(run["identity"]["command"])
                spans.setdefault(command, []).extend((float(start), float(end)) for start, end in run["sessions"])
            except (KeyError, TypeError, ValueError) as error:
                raise DataError(f"{path}: not the record of an asr-kd command ({error!r})") from error
    ordered = sorted(spans, key=lambda command: min(spans[command]))
    seconds = {command: round(union_length(spans[command]), 1) for command in ordered}
    return seconds, round(union_length(span for some in spans.values() for span in some), 1)


def union_length(spans: Iterable[tuple[float, float]]) -> float:
    """Length of the union of intervals ``(start, end)``."""
    length, reached = 0.0, -np.inf
    for start, end in sorted(spans):
        length += max(0.0, end - max(start, reached))
        reached = max(reached, end)
    return float(length)


def training_curves(experiment: Path) -> dict[str, list[dict[str, float]]]:
    """The ``metrics.jsonl`` of every member and student by its path; unreadable lines are left out.

    The alignment model's are left out: it is trained on labels of its own, round after round. So are those of
    ``--experiment``.
    """
    curves: dict[str, list[dict[str, float]]] = {}
    for path in sorted([*experiment.glob("*/metrics.jsonl"), *experiment.glob("*/*/metrics.jsonl")]):
        name = path.parent.relative_to(experiment)
        if name.parts[0] in (*_ALIGNERS, *_NO_STAGES) or name.name.endswith(".partial"):
            continue
        points = [point for point in map(_point, path.read_text().splitlines()) if point]
        if points:
            curves[str(name)] = points
    return curves


def _read_meta(path: Path) -> dict[str, Any]:
    try:
        meta: dict[str, Any] = json.loads(path.read_text())
    except ValueError as error:
        raise DataError(f"{path}: not valid JSON ({error}); make the frame store again") from error
    for key in ("num_frames", "num_utterances", "frame_shift_ms"):
        if key not in meta:
            raise DataError(f"{path}: no '{key}' in it; make the frame store again")
    return meta


def _point(line: str) -> dict[str, float]:
    """One line's numbers; a line cut short by an interruption has none."""
    try:
        values = json.loads(line)
    except ValueError:
        return {}
    return {key: float(value) for key, value in values.items() if isinstance(value, int | float)}
