"""A plan as text for people, made from the same figures as its JSON."""

from collections.abc import Mapping, Sequence
from typing import Any

Row = tuple[str, ...]


def render(figures: Mapping[str, Any]) -> str:
    """All blocks of a plan."""
    blocks = [_work(figures), _disk(figures), _memory(figures)]
    if "gpu" in figures:
        blocks.append(_gpu_memory(figures))
    blocks.append(_time(figures))
    if "fidelity" in figures:
        blocks.append(_fidelity(figures))
    return "\n\n".join(blocks)


def size_text(num_bytes: float) -> str:
    """Bytes in decimal units: ``47 GB``."""
    units = ("B", "kB", "MB", "GB", "TB", "PB")
    number = 0
    while num_bytes >= 999.5 and number < len(units) - 1:
        num_bytes /= 1000
        number += 1
    return f"{_short(num_bytes) if number else round(num_bytes)} {units[number]}"


def seconds_text(seconds: float) -> str:
    """A duration in the unit that suits it: ``32 s``, ``5.8 min``, ``3.2 h``, ``12 days``."""
    for limit, divisor, unit in ((90, 1, "s"), (5400, 60, "min"), (48 * 3600, 3600, "h")):
        if seconds < limit:
            return f"{_short(seconds / divisor)} {unit}"
    return f"{_short(seconds / 86400)} days"


def _work(figures: Mapping[str, Any]) -> str:
    work = figures["work"]
    rows: list[Row] = []
    for name, speech in (("labelled speech", work["labelled"]), ("students' speech", work["transfer"])):
        rows.append((name, f"{speech['num_frames']:,} frames", f"{speech['num_utterances']:,} utterances"))
    for one in (work["members"], *work["students"]):
        net, train = one["net"], one["train"]
        shape = f"{one['copies']} x ({net['num_layers']} x {net['hidden_dim']})"
        rows.append((one["name"], shape, f"{train['num_epochs']} epochs, batches of {train['batch_size']:,}"))
    rows.append(("states", f"{work['members']['shape']['num_pdfs']:,}", ""))
    return _table("What is planned", rows)


def _disk(figures: Mapping[str, Any]) -> str:
    found = figures["disk_bytes"]
    notes = {
        "features": "filter banks with their padding, both kinds of speech",
        "soft_targets": f"{_form(figures['work']['targets'])}, T = {figures['work']['targets']['temperature']:g}",
        "checkpoints": "while networks are trained",
    }
    rows = [(name.replace("_", " "), size_text(value), notes.get(name, "")) for name, value in found.items()]
    free = figures["machine"]["disk_free_bytes"]
    total = sum(found.values())
    rows.append(("all", size_text(total), f"{size_text(free)} are free here{': NOT ENOUGH' * (total > free)}"))
    forms = ", ".join(f"{size_text(value)} {name}" for name, value in figures["soft_target_bytes"].items())
    return _table("Disk", rows) + f"\n  soft targets would be {forms}"


def _memory(figures: Mapping[str, Any]) -> str:
    has = figures["machine"]["memory_bytes"]
    rows = [
        (name, size_text(value), f"more than the {size_text(has)} of this machine" if value > has else "")
        for name, value in figures["memory_bytes"].items()
    ]
    remark = "  features that do not fit in half of the free memory are read in parts (--shuffle-frames)"
    return _table("Memory (processes side by side share the features)", rows) + f"\n{remark}"


def _gpu_memory(figures: Mapping[str, Any]) -> str:
    card = figures["gpu"]
    rows: list[Row] = []
    for one in (figures["work"]["members"], *figures["work"]["students"]):
        parts = figures["gpu_memory_bytes"][one["name"]]
        total = sum(parts.values())
        fits = "fits" if total <= card["memory_gb"] * 1e9 else "does NOT fit whole"
        listed = ", ".join(f"{part.replace('_', ' ')} {size_text(value)}" for part, value in parts.items() if value)
        rows.append((_run(one), size_text(total), f"{fits}: {listed}"))
    return _table(f"Memory of one {card['name']} ({card['memory_gb']:g} GB)", rows)


def _time(figures: Mapping[str, Any]) -> str:
    work, speeds, seconds = figures["work"], figures["speeds"], figures["seconds"]
    rows: list[Row] = []
    for one in (work["members"], *work["students"]):
        rate = one["together"] * one["train"]["batch_size"] / speeds[one["name"]]["step_seconds"]
        rows.append((_run(one), seconds_text(seconds[f"one run: {one['name']}"]), f"{rate:,.0f} frames/s"))
    for name in ("members", "soft_targets", "students"):
        rows.append((f"all {name.replace('_', ' ')}", seconds_text(seconds[name]), ""))
    rows.append(("together", seconds_text(sum(seconds[name] for name in ("members", "soft_targets", "students"))), ""))
    if "gpu" in figures:
        how = f"PREDICTED for one {figures['gpu']['name']} from its data sheet; soft targets are packed by this CPU"
    else:
        how = f"{work['nj']} processes side by side on this machine when idle, from seconds of measuring"
    return _table(f"Time ({how})", rows)


def _fidelity(figures: Mapping[str, Any]) -> str:
    rows: list[Row] = [("kept", "bytes a frame", "mass of the top", "5th percentile", "KL, nats")]
    for one in figures["fidelity"]:
        kept = "dense" if one["dense"] else f"top {one['top']}"
        mass, low = (f"{100 * one[key]:.1f} %" for key in ("mass_mean", "mass_p5"))
        rows.append((kept, f"{one['bytes_per_frame']:,}", mass, low, f"{one['kl']:.4f}"))
    targets = figures["work"]["targets"]
    title = f"Fidelity of soft targets at T = {targets['temperature']:g}, {targets['tail_samples']} drawn from the tail"
    return _table(title, rows, last_left=False) + f"\n  recommended: {figures['recommendation']}"


def _run(training: Mapping[str, Any]) -> str:
    """What one run makes."""
    name, together = training["name"], training["together"]
    return f"{together} {name} together" if together > 1 else f"one of {name}"


def _form(targets: Mapping[str, Any]) -> str:
    return "dense" if targets["dense"] else f"top {targets['top_k']} + {targets['tail_samples']}"


def _table(title: str, rows: Sequence[Row], *, last_left: bool = True) -> str:
    """A titled block: the first column, and the last where it is a remark, to the left, the others to the right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    left = {0, len(widths) - 1} if last_left else {0}
    lines = [
        "  ".join(
            cell.ljust(width) if number in left else cell.rjust(width)
            for number, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]
    return "\n".join([title, *(f"  {line}" for line in lines)])


def _short(value: float) -> str:
    return f"{value:.0f}" if value >= 9.95 else f"{value:.1f}" if value >= 0.95 else f"{value:.1g}"
