"""What a run reports after every epoch: a line of ``metrics.jsonl``, TensorBoard, and the log.

Legend: B frames of a batch, P pdfs.
"""

import json
import logging
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor
from torch.utils.tensorboard import SummaryWriter

from asr_kd.nets.decision import most_likely
from asr_kd.stage import write_text

log = logging.getLogger(__name__)

METRICS_FILE = "metrics.jsonl"


class MetricsLog:
    """Metrics of one run, epoch by epoch.

    Args:
        directory: where ``metrics.jsonl`` and ``tensorboard/`` lie.
        epochs_done: lines of later epochs, left by a run that was killed before its checkpoint, go.
    """

    def __init__(self, directory: Path, *, epochs_done: int) -> None:
        self._path = directory / METRICS_FILE
        lines = self._path.read_text().splitlines() if self._path.exists() else []
        self._lines = lines[:epochs_done]
        self._board = SummaryWriter(str(directory / "tensorboard"), purge_step=epochs_done + 1)

    @property
    def last(self) -> dict[str, float]:
        """The last epoch's metrics."""
        return dict(json.loads(self._lines[-1])) if self._lines else {}

    def write(self, metrics: dict[str, float]) -> None:
        """Add one epoch."""
        epoch = int(metrics["epoch"])
        self._lines.append(json.dumps({name: _rounded(name, value) for name, value in metrics.items()}))
        write_text(self._path, "\n".join(self._lines) + "\n")
        for name, value in metrics.items():
            self._board.add_scalar(name, value, epoch)
        shown = [f"{name} {value:.4g}" for name, value in metrics.items() if name not in ("epoch", "frames")]
        log.info("epoch %d: %s", epoch, ", ".join(shown))

    def close(self) -> None:
        """Write out what TensorBoard still holds."""
        self._board.close()


def _rounded(name: str, value: float) -> float:
    if name in ("epoch", "frames"):
        return int(value)
    # A learning rate may be far below 1e-6.
    return float(f"{value:.6g}") if name == "learning_rate" else round(value, 6)


def epochs_done(directory: Path) -> int:
    """How many epochs a directory's ``metrics.jsonl`` tells of."""
    path = directory / METRICS_FILE
    return len(path.read_text().splitlines()) if path.exists() else 0


def batch_sums(losses: Mapping[str, Tensor], logits_BP: Tensor, labels_B: Tensor) -> dict[str, Tensor]:
    """What an epoch adds up: losses times frames, frames decided right, labelled frames, frames.

    Sums stay on the device; they are read once an epoch, so no step waits for them.
    """
    values = {f"loss_{name}": loss.detach().double() * len(labels_B) for name, loss in losses.items()}
    values["correct"] = (most_likely(logits_BP) == labels_B).sum().double()
    values["labelled"] = (labels_B >= 0).sum().double()
    values["frames"] = torch.full((), float(len(labels_B)), dtype=torch.float64, device=logits_BP.device)
    return values


def averages(sums: Mapping[str, Tensor], *, epoch: int) -> dict[str, float]:
    """An epoch's mean losses and its frame accuracy while training, where frames have labels."""
    values = {name: float(value) for name, value in sums.items()}
    frames, correct, labelled = (values.pop(name) for name in ("frames", "correct", "labelled"))
    losses = {name.replace("loss_", "train_loss_", 1): value / frames for name, value in values.items()}
    found = {"epoch": float(epoch), "frames": frames, "train_loss": sum(losses.values()), **losses}
    return found | ({"train_frame_accuracy": correct / labelled} if labelled else {})
