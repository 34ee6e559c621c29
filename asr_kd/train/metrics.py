"""What a run reports after every epoch: a line of ``metrics.jsonl``, TensorBoard, and the log."""

import json
import logging
from pathlib import Path

from torch.utils.tensorboard import SummaryWriter

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
        plain = {
            name: int(value) if name in ("epoch", "frames") else round(value, 6) for name, value in metrics.items()
        }
        self._lines.append(json.dumps(plain))
        write_text(self._path, "\n".join(self._lines) + "\n")
        for name, value in metrics.items():
            self._board.add_scalar(name, value, epoch)
        shown = [f"{name} {value:.4g}" for name, value in metrics.items() if name not in ("epoch", "frames")]
        log.info("epoch %d: %s", epoch, ", ".join(shown))

    def close(self) -> None:
        """Write out what TensorBoard still holds."""
        self._board.close()
