"""Are posteriors to be believed? Frames binned by the greatest posterior, and how often it is right in each bin.

Legend: T frames of one utterance, P pdfs, U utterances, K bins, B resampled test sets, C columns of sums.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from asr_kd.score.bootstrap import Estimate, bootstrap_facts, resampled_sums, sums_of_units
from asr_kd.stage import write_text

NUM_BINS = 15
HEADER = ("from", "to", "frames", "confidence", "frame_accuracy")

FloatArray = npt.NDArray[np.float64]
Key = tuple[str, float]  # a system's name and the temperature of its posteriors


class Reliability:
    """What one model's (or an ensemble's) posteriors promise and keep, utterance by utterance.

    Args:
        num_bins: K, bins of equal width for the greatest posterior (the confidence).
    """

    def __init__(self, num_bins: int = NUM_BINS) -> None:
        self.num_bins = num_bins
        self._sums: list[FloatArray] = []
        self._cross_entropies: list[float] = []

    def add(self, logp_TP: npt.NDArray[np.floating[Any]], pdfs_T: npt.NDArray[np.integer[Any]]) -> None:
        """Count one utterance's log posteriors against its labels (-1: none, left out)."""
        labelled = pdfs_T >= 0
        logp_TP, pdfs_T = logp_TP[labelled], pdfs_T[labelled]
        decided_T, rows = logp_TP.argmax(axis=1), np.arange(len(pdfs_T))
        confidence_T = np.exp(logp_TP[rows, decided_T].astype(np.float64))
        bin_T = np.minimum((confidence_T * self.num_bins).astype(np.int64), self.num_bins - 1)
        weights = (np.ones(len(rows)), confidence_T, (decided_T == pdfs_T).astype(np.float64))
        self._sums.append(np.stack([np.bincount(bin_T, weights=w, minlength=self.num_bins) for w in weights], axis=1))
        self._cross_entropies.append(-float(logp_TP[rows, pdfs_T].sum(dtype=np.float64)))

    @property
    def sums_UK3(self) -> FloatArray:
        """Of every utterance and bin: frames, sum of their confidences, frames decided right."""
        return np.stack(self._sums) if self._sums else np.zeros((0, self.num_bins, 3))

    @property
    def bins_K3(self) -> FloatArray:
        """As `sums_UK3`, over all utterances."""
        return np.asarray(self.sums_UK3.sum(axis=0))

    @property
    def ece(self) -> float:
        """Expected calibration error, see `calibration_error`."""
        return float(calibration_error(self.bins_K3))

    @property
    def cross_entropy(self) -> float:
        """Nats a labelled frame."""
        return sum(self._cross_entropies) / float(self.bins_K3[:, 0].sum())

    def write(self, path: Path) -> None:
        """Write the bins as a table; a bin without a frame has no means."""
        edges = np.linspace(0, 1, self.num_bins + 1)
        lines = ["\t".join(HEADER)]
        for low, high, (frames, confidence, right) in zip(edges, edges[1:], self.bins_K3, strict=False):
            means = f"{confidence / frames:.6f}\t{right / frames:.6f}" if frames else "\t"
            lines.append(f"{low:.4f}\t{high:.4f}\t{frames:.0f}\t{means}")
        write_text(path, "\n".join(lines) + "\n")


def calibration_error(sums: FloatArray) -> FloatArray:
    """Expected calibration error: mean over frames of |accuracy - confidence| of the frame's bin, [...].

    ``sum_k n_k / N |acc_k - conf_k|`` (Naeini et al., AAAI 2015; Guo et al., ICML 2017). 0 is perfect.

    Args:
        sums: frames, sum of confidences and frames decided right of every bin, [..., K, 3].
    """
    gaps = np.abs(sums[..., 2] - sums[..., 1]).sum(axis=-1)
    return np.asarray(gaps / sums[..., 0].sum(axis=-1))


def overconfidence(sums: FloatArray) -> FloatArray:
    """Mean confidence less accuracy, [...]: above 0 a model promises more than it keeps."""
    return np.asarray((sums[..., 1] - sums[..., 2]).sum(axis=-1) / sums[..., 0].sum(axis=-1))


def calibration_results(
    systems: Mapping[Key, Sequence[Reliability]], *, speakers: Sequence[str], num_samples: int, seed: int
) -> dict[str, Any]:
    """The figures of several systems on the same utterances, jointly resampled.

    A system's figures are means over its runs (members, or seeds). A resampled test set has a greater calibration
    error than the whole one, as chance adds to every bin; so the interval is the basic one (Davison & Hinkley 1997,
    chapter 5), which takes most of that excess off, and ends at 0.

    Args:
        systems: the runs of each system at each temperature; all have the same number of bins.
        speakers: of each utterance.
        num_samples: B, bootstrap samples.
        seed: of the bootstrap.
    """
    runs = [run for system in systems.values() for run in system]
    shape = runs[0].num_bins, 3
    columns_UC = np.concatenate([run.sums_UK3.reshape(-1, shape[0] * shape[1]) for run in runs], axis=1)
    columns_DC = sums_of_units(columns_UC, speakers)
    samples_BC = resampled_sums(columns_DC, num_samples=num_samples, rng=np.random.default_rng(seed))
    samples = dict(zip(map(id, runs), np.split(samples_BC, len(runs), axis=1), strict=True))
    rows = []
    for (name, temperature), system in systems.items():
        drawn = [samples[id(run)].reshape(num_samples, *shape) for run in system]
        row: dict[str, Any] = {"name": name, "temperature": temperature, "runs": len(system)}
        for figure, of in (("ece", calibration_error), ("overconfidence", overconfidence)):
            values = [float(of(run.bins_K3)) for run in system]
            estimate = Estimate(float(np.mean(values)), np.mean([of(sums) for sums in drawn], axis=0))
            spread = float(np.std(values, ddof=1)) if len(values) > 1 else None
            row |= {figure: estimate.value, f"{figure}_ci": _interval(figure, estimate), f"{figure}_std": spread}
        bins_K3 = np.mean([run.bins_K3 for run in system], axis=0)
        row["frame_accuracy"] = float(bins_K3[:, 2].sum() / bins_K3[:, 0].sum())
        row["cross_entropy"] = float(np.mean([run.cross_entropy for run in system]))
        row["bins"] = bins_K3.tolist()
        rows.append(row)
    return {
        "utterances": len(columns_UC),
        "labelled_frames": int(runs[0].bins_K3[:, 0].sum()),
        "num_bins": shape[0],
        "bootstrap": bootstrap_facts(num_samples=num_samples, seed=seed, speakers=speakers),
        "systems": rows,
    }


def _interval(figure: str, estimate: Estimate) -> list[float]:
    low, high = estimate.interval()
    if figure != "ece":
        return [low, high]
    return [max(0.0, 2 * estimate.value - high), max(0.0, 2 * estimate.value - low)]
