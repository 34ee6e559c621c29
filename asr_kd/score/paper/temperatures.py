"""Temperature against width (section 3) and the temperatures of speech (section 4) beside a sweep of ours."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from asr_kd.score.markdown import table
from asr_kd.score.paper import figures
from asr_kd.score.paper.claims import DIFFERS, HOLDS, OPEN, WEAKER, Claim, worst
from asr_kd.score.paper.table import Part, points

Cell = Mapping[str, Any]
_BOLD = "Bold: the best of its width, chosen on dev. `=`: on dev within noise of it."


@dataclass(frozen=True)
class _Widths:
    """The cells of a sweep by width and temperature; each width at the weights of its best cell."""

    cells: Mapping[int, Mapping[float, Cell]]
    temperatures: Sequence[float]

    def best(self, width: int) -> Cell:
        """The cell of a width that was chosen on dev."""
        return next(cell for cell in self.cells[width].values() if cell["best"])

    def seed_std(self, width: int) -> float | None:
        """The standard deviation of wrong test frames over seeds, pooled over a width's cells."""
        stds = [cell["test"]["errors_std"] for cell in self.cells[width].values()]
        if any(std is None for std in stds):
            return None
        return float((sum(std * std for std in stds) / len(stds)) ** 0.5)


def image_sweep_part(results: Mapping[str, Any]) -> Part:
    """Temperature against width on images: wrong test images of every cell."""
    widths = _widths(results)
    wide = [width for width in widths.cells if width >= figures.WIDE]
    flat = [temperature for temperature in widths.temperatures if temperature >= figures.FLAT_FROM]
    claims = [_flat(widths, wide, flat)] if wide and len(flat) > 1 else []
    narrow = widths.cells.get(figures.NARROW, {})
    if any(_in_peak(t) for t in narrow) and not all(_in_peak(t) for t in narrow):
        claims.append(_peak(widths))
    grid = _grid(widths, "errors", 1, ".1f")
    return Part(
        facts=f"Wrong test images of {results['frames']['test']:,}{_seeds(results)}", blocks=[grid], claims=claims
    )


def speech_sweep_part(results: Mapping[str, Any]) -> Part:
    """Temperatures on speech: frame accuracy of every cell."""
    widths = _widths(results)
    tried = [temperature in widths.temperatures for temperature in figures.TEMPERATURES]
    claims = [_two_is_best(widths)] if all(tried) else []
    weights = {width: _weights(widths.best(width)) for width in widths.cells}
    said = ", ".join(f"{soft:g} and {hard:g} ({width} units)" for width, (soft, hard) in weights.items())
    facts = (
        f"Frame accuracy in % on {results['frames']['test']:,} test frames{_seeds(results)} Soft and hard "
        f"weight are those of the best on dev: {said}."
    )
    return Part(facts=facts, blocks=[_grid(widths, "frame_accuracy", 100, ".2f")], claims=claims)


def _widths(results: Mapping[str, Any]) -> _Widths:
    best = {cell["hidden_dim"]: _weights(cell) for cell in results["cells"] if cell["best"]}
    cells: dict[int, dict[float, Cell]] = {width: {} for width in sorted(best, reverse=True)}
    for cell in results["cells"]:
        if _weights(cell) == best[cell["hidden_dim"]]:
            cells[cell["hidden_dim"]][cell["temperature"]] = cell
    return _Widths(cells, sorted(results["dimensions"]["temperature"]))


def _weights(cell: Cell) -> tuple[float, float]:
    return cell["soft_weight"], cell["hard_weight"]


def _seeds(results: Mapping[str, Any]) -> str:
    number = len(results["seeds"])
    return f", mean of {number} seeds and their standard deviation." if number > 1 else ", one seed."


def _grid(widths: _Widths, metric: str, scale: int, form: str) -> str:
    rows = []
    for width, cells in widths.cells.items():
        best = widths.best(width)
        rows.append([f"{width} units"])
        for temperature in widths.temperatures:
            cell, std = cells[temperature], cells[temperature]["test"][f"{metric}_std"]
            text = f"{scale * cell['test'][metric]:{form}}"
            text = f"**{text}**" if cell is best else f"{text} =" if cell["within_noise"] else text
            rows[-1].append(text if std is None else f"{text} ± {scale * std:{form}}")
    return table(["", *(f"T = {temperature:g}" for temperature in widths.temperatures)], rows) + f"\n\n{_BOLD}"


def _flat(widths: _Widths, wide: Sequence[int], flat: Sequence[float]) -> Claim:
    """Similar: no further apart than two seeds' standard deviations, or than half of what T = 1 (lowest) costs."""
    verdicts, here, said = [], [], []
    lowest = widths.temperatures[0]
    for width in wide:
        errors = [widths.cells[width][temperature]["test"]["errors"] for temperature in flat]
        apart, std = max(errors) - min(errors), widths.seed_std(width)
        cold = widths.cells[width][lowest]["test"]["errors"]
        is_half = apart <= abs(cold - sum(errors) / len(errors)) / 2 and lowest < figures.FLAT_FROM
        if std is None:
            verdicts.append(OPEN if is_half else DIFFERS)
        else:
            verdicts.append(HOLDS if apart <= 2 * std else WEAKER if is_half else DIFFERS)
        here.append(f"{apart:.1f} wrong images apart ({width} units)")
        seeds = "one seed" if std is None else f"seeds' standard deviation {std:.1f}"
        said.append(
            f"{width} units {min(errors):.1f} to {max(errors):.1f} wrong ({seeds}), at T = {lowest:g} {cold:.1f}"
        )
    listed = ", ".join(f"{temperature:g}" for temperature in flat)
    return Claim(
        statement=figures.FLAT,
        verdict=worst(verdicts),
        paper="in words",
        here=", ".join(here),
        detail=f"at T = {listed}: {'; '.join(said)}",
    )


def _peak(widths: _Widths) -> Claim:
    """The best T of the narrow net, and how far T on either side of the paper's range are behind it, on test."""
    cells, best = widths.cells[figures.NARROW], widths.best(figures.NARROW)
    std = widths.seed_std(figures.NARROW)
    if _in_peak(best["temperature"]):
        outside = [cells[t] for t in widths.temperatures if not _in_peak(t)]
        rivals = [f"{cell['temperature']:g}" for cell in outside if not _is_behind_on_test(cell)]
        behind = [f"T = {t:g} {_behind(cells[t], best, std)}" for t in _either_side(widths.temperatures)]
        noise = f"; not told from it: T = {', '.join(rivals)}" if rivals else "; one seed" if std is None else ""
        verdict = OPEN if rivals or std is None else HOLDS
        detail = f"behind it on test: {', '.join(behind)}{noise}"
    else:
        inside = min(
            (cell for temperature, cell in cells.items() if _in_peak(temperature)),
            key=lambda cell: float(cell["dev"]["below_best"]),
        )
        apart = not inside["within_noise"] and _is_behind_on_test(inside)
        verdict = DIFFERS if apart else OPEN
        on_dev = points(inside["dev"]["below_best"], inside["dev"]["below_best_ci"])
        detail = (
            f"T = {inside['temperature']:g} is behind it by {on_dev} on dev, on test by {_behind(inside, best, std)}"
        )
    return Claim(
        statement=figures.PEAK,
        verdict=verdict,
        paper="T = {:g} to {:g}".format(*figures.NARROW_BEST),
        here=f"T = {best['temperature']:g}, the best on dev",
        detail=detail,
    )


def _is_behind_on_test(cell: Cell) -> bool:
    """Beyond noise, behind the cell that is best on dev."""
    return bool(cell["test"]["below_best_ci"][0] > 0)


def _either_side(temperatures: Sequence[float]) -> list[float]:
    """The lowest temperature, and T = 20, or the highest where 20 was not tried; those outside the paper's range."""
    high = 20.0 if 20.0 in temperatures else temperatures[-1]
    return [temperature for temperature in (temperatures[0], high) if not _in_peak(temperature)]


def _behind(cell: Cell, best: Cell, std: float | None) -> str:
    wrong = cell["test"]["errors"] - best["test"]["errors"]
    seeds = "" if not std else f", {wrong / std:.1f} of the seeds' standard deviations"
    return f"{wrong:.1f} images{seeds} ({points(cell['test']['below_best'], cell['test']['below_best_ci'])})"


def _in_peak(temperature: float) -> bool:
    low, high = figures.NARROW_BEST
    return low <= temperature <= high


def _two_is_best(widths: _Widths) -> Claim:
    """Chosen on dev; told from the others, or from the best, only where test agrees beyond noise."""
    verdicts, here, said = [], [], []
    for width, cells in widths.cells.items():
        best, two = widths.best(width), cells[figures.BEST_TEMPERATURE]
        here.append(f"T = {best['temperature']:g} ({width} units, the best on dev)")
        if best is two:
            others = {t: cell for t, cell in cells.items() if cell is not best}
            rivals = [f"{t:g}" for t, cell in others.items() if cell["within_noise"] or not _is_behind_on_test(cell)]
            verdicts.append(OPEN if rivals else HOLDS)
            noise = f"not told from it on dev or test: T = {', '.join(rivals)}"
            said.append(noise if rivals else "all others are behind it on dev and test, beyond noise")
        else:
            verdicts.append(OPEN if two["within_noise"] or not _is_behind_on_test(two) else DIFFERS)
            below = [points(two[of]["below_best"], two[of]["below_best_ci"]) for of in ("dev", "test")]
            said.append(f"T = 2 is below it by {below[0]} on dev, by {below[1]} on test")
    return Claim(
        statement=figures.TEMPERATURE,
        verdict=worst(verdicts),
        paper=f"T = {figures.BEST_TEMPERATURE:g}",
        here=", ".join(here),
        detail="; ".join(said),
    )
