"""The training loop: frames in random order, one objective, a schedule, checkpoints it resumes from exactly.

What happens in step s of a run depends on its seed and s alone (order of frames, dropout, what is done to the
inputs), so a run that was interrupted and resumed equals one that was not.

Legend: B frames of a batch, P pdfs.
"""

import logging
import math
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

import torch
from torch import Tensor, nn
from tqdm import tqdm

from asr_kd.errors import AsrKdError, RankLostError, UsageError
from asr_kd.nets.device import DeviceOptions, autocast, is_half
from asr_kd.nets.dnn import DNN
from asr_kd.nets.group import DNNGroup
from asr_kd.options import group, option
from asr_kd.train import checkpoint
from asr_kd.train.checkpoint import Progress
from asr_kd.train.frame_set import Batch, TrainingFrames
from asr_kd.train.jitter import Jitter
from asr_kd.train.metrics import MetricsLog, averages, batch_sums
from asr_kd.train.objective import Objective, gradient_shares
from asr_kd.train.ranks import ALONE, Ranks
from asr_kd.train.schedule import NewBob, OptimizerOptions, cosine_factor, limit_norms, make_optimizers
from asr_kd.train.shuffle import ShuffleOptions

log = logging.getLogger(__name__)

SMALL_SHARE = 0.01
SEEDS_OF_STEP = 64  # one for each layer's dropout, the last ones for what is done to its inputs


@dataclass(frozen=True, kw_only=True)
class TrainOptions:
    """How long and with what a network is trained."""

    num_epochs: int = option("passes over the training frames", default=6)
    watch_every: int = option("epochs from one look at the dev set to the next, at least", default=1)
    watch_growth: float = option(
        "epochs until a look, over those until the look before it; above 1, looks become rarer", default=1.0
    )
    early_stopping: int = option(
        "end after so many looks at the dev set without a higher frame accuracy, with the weights of the highest; "
        "0: train to the end and keep the last weights",
        default=0,
    )
    batch_size: int = option("frames of a step", default=1024)
    optimizer: OptimizerOptions = group(OptimizerOptions)
    device: DeviceOptions = group(DeviceOptions)
    shuffle: ShuffleOptions = group(ShuffleOptions)
    jitter: int = option("images: largest shift of a training image, in pixels each way", default=0)
    seed: int = option("seed of initial weights, order of frames, dropout, jitter and mixtures", default=1)
    checkpoint_seconds: float = option("how often to save where the run stands", default=60.0, affects_result=False)

    def __post_init__(self) -> None:
        if self.num_epochs < 1 or self.batch_size < 1 or self.watch_every < 1:
            raise UsageError("--num-epochs, --batch-size and --watch-every must be at least 1")
        if self.watch_growth < 1:
            raise UsageError(f"--watch-growth must be at least 1, got {self.watch_growth:g}")
        if self.early_stopping < 0:
            raise UsageError(f"--early-stopping must not be negative, got {self.early_stopping}")
        if self.early_stopping and self.optimizer.schedule == "newbob":
            raise UsageError("--early-stopping goes with --schedule cosine: newbob goes back and ends by itself")
        if self.jitter < 0:
            raise UsageError(f"--jitter must not be negative, got {self.jitter}")

    def looks_after(self, epoch: int) -> bool:
        """Whether the dev set is looked at after so many epochs; it always is after the last."""
        look = self.watch_every
        while look < epoch:
            look = max(look + self.watch_every, math.ceil(look * self.watch_growth))
        return epoch in (look, self.num_epochs)


class Transform(Protocol):
    """What is done to a step's inputs before network and objective see them."""

    def __call__(self, inputs_BW: Tensor, /, *, seed: int) -> Tensor:
        """The inputs ``[B, W]`` changed at random, as ``seed`` says."""
        ...


class Watched(Protocol):
    """What training is watched on."""

    def evaluate(self, net: nn.Module) -> tuple[float, float]:
        """Frame accuracy (0..1) and mean cross-entropy (nats)."""
        ...


class Trainer:
    """One training run in one directory.

    Args:
        net: on the device of the options; its weights are changed in place.
        dev: looked at when the options say so, and after the last epoch.
        directory: gets checkpoints, ``metrics.jsonl`` and TensorBoard's files; a checkpoint found there
            is carried on from.
        image: rows and columns, where the frames are images.
        watched: further sets to report on with the dev set, by name; they decide nothing.
        transforms: done to each step's inputs, in this order, after the jitter of the options.
        ranks: the processes that train it together; ``frames`` are this one's part.
    """

    def __init__(
        self,
        net: DNN | DNNGroup,
        frames: TrainingFrames,
        objective: Objective,
        dev: Watched,
        options: TrainOptions,
        directory: Path,
        *,
        title: str = "",
        image: tuple[int, int] | None = None,
        watched: Mapping[str, Watched] | None = None,
        transforms: Sequence[Transform] = (),
        ranks: Ranks = ALONE,
    ) -> None:
        self._net, self._frames, self._objective = net, frames, objective
        self._watched: dict[str, Watched] = {"dev": dev} | dict(watched or {})
        self._options, self._directory, self._title = options, directory, title
        self._ranks = ranks
        half = is_half(frames.device, options.device.dtype)
        self._parameters = list(net.parameters())
        self._optimizers = make_optimizers(net, options.optimizer, half=half)
        self._progress = Progress()
        self._sums: dict[str, Tensor] = {}
        self._best: dict[str, Tensor] = {}
        self._saved = time.monotonic()
        self._updating = False
        if options.jitter and image is None:
            raise UsageError("--jitter shifts images; these frames are none")
        self._transforms = list(transforms)
        if options.jitter and image:
            self._transforms.insert(0, Jitter(image, options.jitter))

    def run(self) -> dict[str, float]:
        """Train to the end; returns the last epoch's metrics. The last checkpoint stays, until the model is saved.

        Raises:
            AsrKdError: the loss is no longer finite, or the ranks cannot go on together.
        """
        self._resume()
        metrics = MetricsLog(self._directory, epochs_done=self._progress.epoch) if self._ranks.first else None
        last: dict[str, float] = metrics.last if metrics else {}
        self._net.train()
        while not self._done():
            last = self._epoch()
            if metrics:
                metrics.write(last)
            self._save()
        if metrics:
            metrics.close()
        if self._options.early_stopping:
            self._net.load_state_dict(self._best)
        return last

    def _done(self) -> bool:
        o = self._options
        halved_enough = o.optimizer.schedule == "newbob" and self._progress.halvings >= o.optimizer.newbob_halvings
        stopped = o.early_stopping and self._progress.looks_since_best >= o.early_stopping
        return bool(self._progress.epoch >= o.num_epochs or halved_enough or stopped)

    def _epoch(self) -> dict[str, float]:
        o = self._options
        started = time.monotonic() - self._progress.seconds
        try:
            for batch in self._batches():
                self.step(batch)
                if time.monotonic() - self._saved > o.checkpoint_seconds:
                    self._progress.seconds = time.monotonic() - started
                    self._save()
        except (KeyboardInterrupt, RankLostError):
            # Weights, sums and count that do not belong together are not worth saving: the checkpoint before stands.
            # On a GPU what waits for a rank that has ended never ends, and a look at the weights would wait for that.
            if not self._updating and (self._ranks.size == 1 or self._frames.device.type == "cpu"):
                self._progress.seconds = time.monotonic() - started
                self._save()
            raise
        self._progress.epoch += 1
        self._progress.batch = 0
        watched = self._ranks.told_by_first(self._look)
        metrics = averages(self._sums, epoch=self._progress.epoch) | {
            **watched,
            "learning_rate": self._learning_rate(self._progress.epoch * self._frames.num_batches(o.batch_size) - 1),
            "seconds": round(time.monotonic() - started, 2),
        }
        metrics |= {f"gradient_share_{name}": share for name, share in self._progress.gradient_shares.items()}
        self._check_finite("loss", metrics["train_loss"], watched.get("dev_cross_entropy", 0.0))
        self._progress.gradient_shares = {}
        self._progress.seconds = 0.0
        self._sums = {}
        if watched:
            self._steer(watched["dev_frame_accuracy"], watched["dev_cross_entropy"])
        return metrics

    def _look(self) -> dict[str, float]:
        """Accuracy and cross-entropy of all watched sets, if this epoch is one to look."""
        if not self._options.looks_after(self._progress.epoch):
            return {}
        found: dict[str, float] = {}
        for name, watched in self._watched.items():
            found[f"{name}_frame_accuracy"], found[f"{name}_cross_entropy"] = watched.evaluate(self._net)
        return found

    def _batches(self) -> Iterator[Batch]:
        o, p = self._options, self._progress
        batches = self._frames.epoch(seed=o.seed, epoch=p.epoch, batch_size=o.batch_size, first_batch=p.batch)
        title = f"{self._title}epoch {p.epoch + 1}/{o.num_epochs}"
        total = self._frames.num_batches(o.batch_size)
        hidden = None if self._ranks.first else True
        yield from tqdm(batches, title, total=total, initial=p.batch, unit="step", disable=hidden, leave=False)

    def step(self, batch: Batch) -> None:
        """One update of the weights. What it does depends on the seed and the number of steps done alone."""
        o = self._options
        step = self._progress.epoch * self._frames.num_batches(o.batch_size) + self._progress.batch
        learning_rate = self._learning_rate(step)
        step_seed = o.seed * 1_000_003 + (step * self._ranks.size + self._ranks.rank) * SEEDS_OF_STEP
        sums = self._ranks.combine(self._parameters, self._gradients(batch, step_seed))
        self._updating = True
        for optimizer in self._optimizers:
            optimizer.step(learning_rate)
        if o.optimizer.max_norm is not None:
            limit_norms(self._net, o.optimizer.max_norm)
        self._add_up(sums)
        self._progress.batch += 1
        self._updating = False

    def _add_up(self, sums: dict[str, Tensor]) -> None:
        self._sums = {name: value + self._sums.get(name, 0.0) for name, value in sums.items()}

    def _gradients(self, batch: Batch, step_seed: int) -> dict[str, Tensor]:
        """Give every weight its gradient; returns what the batch adds to the epoch's sums."""
        if not len(batch.frames_B):  # the epoch's last batch has fewer frames than there are ranks
            for parameter in self._parameters:
                parameter.grad = torch.zeros_like(parameter)
            return {name: torch.zeros_like(value) for name, value in self._sums.items()}
        self._net.seed_dropout(step_seed, self._frames.device)
        for number, transform in enumerate(self._transforms, start=1):
            batch = replace(batch, inputs_BW=transform(batch.inputs_BW, seed=step_seed + SEEDS_OF_STEP - number))
        with autocast(self._frames.device, self._options.device.dtype):
            logits_BP = self._net(batch.inputs_BW)
        logits_BP = logits_BP.float()
        losses = self._objective.losses(logits_BP, batch)
        if self._progress.batch == 0:
            self._progress.gradient_shares = _watched_shares(losses, logits_BP)
        for parameter in self._parameters:  # net.zero_grad() looks for them in every module, each time
            parameter.grad = None
        torch.stack(list(losses.values())).sum().backward()
        return batch_sums(losses, logits_BP.detach(), self._frames.labels_N[batch.frames_B])

    def _check_finite(self, what: str, *values: float) -> None:
        epoch = self._progress.epoch + (self._progress.batch > 0)
        for value in values:
            if not math.isfinite(value):
                raise AsrKdError(
                    f"{self._directory}: the {what} became {value} in epoch {epoch}; "
                    "lower --learning-rate (or use --dtype fp32) and start again"
                )

    def _learning_rate(self, step: int) -> float:
        o = self._options
        factor = self._progress.lr_factor
        if o.optimizer.schedule == "cosine":
            total = o.num_epochs * self._frames.num_batches(o.batch_size)
            factor = cosine_factor(step / total, o.optimizer.final_learning_rate)
        return o.optimizer.learning_rate * factor

    def _steer(self, accuracy: float, cross_entropy: float) -> None:
        o, p = self._options, self._progress
        if o.early_stopping:
            # Accuracy, not cross-entropy: an over-fitted net's grows long before its decisions get worse.
            p.looks_since_best += 1
            if 1 - accuracy < p.best:
                p.best, p.looks_since_best = 1 - accuracy, 0
                self._keep_weights()
        if o.optimizer.schedule != "newbob":
            return
        newbob = NewBob(p.lr_factor, p.best, p.halvings)
        if newbob.update(cross_entropy, o.optimizer):
            self._keep_weights()
        else:
            self._net.load_state_dict(self._best)
        p.lr_factor, p.best, p.halvings = newbob.factor, newbob.best, newbob.halvings

    def _keep_weights(self) -> None:
        self._best = {name: value.detach().clone() for name, value in self._net.state_dict().items()}

    def _save(self) -> None:
        if self._ranks.first:
            self._write_checkpoint()
        self._saved = time.monotonic()

    def _write_checkpoint(self) -> None:
        # Weights that are lost must not take the place of a checkpoint that is not. Losses tell of those before a step.
        self._check_finite("loss", *(float(value) for value in self._sums.values()))
        self._check_finite("weights", float(sum(value.sum() for value in self._net.state_dict().values())))
        sums = {f"sum.{name}": value for name, value in self._sums.items()}
        best = {f"best.{name}": value for name, value in self._best.items()}
        checkpoint.save(self._directory, self._progress, self._net, self._optimizers, sums | best)

    def _resume(self) -> None:
        found = checkpoint.load(self._directory, self._net, self._optimizers)
        self._ranks.check_same(f"{self._directory}: what is done", found and (found[0].epoch, found[0].batch))
        if found is None:
            return
        self._progress, extra = found
        device = self._frames.device
        self._sums = {k.removeprefix("sum."): v.to(device) for k, v in extra.items() if k.startswith("sum.")}
        self._best = {k.removeprefix("best."): v.to(device) for k, v in extra.items() if k.startswith("best.")}
        log.info("carrying on after %d epochs and %d steps", self._progress.epoch, self._progress.batch)


def _watched_shares(losses: dict[str, Tensor], logits_BP: Tensor) -> dict[str, float]:
    """How much each of several losses pulls, and a warning about one that does next to nothing."""
    if len(losses) < 2:
        return {}
    shares = gradient_shares(losses, logits_BP)
    for name, share in shares.items():
        if share < SMALL_SHARE:
            log.warning(
                "the %s loss is %.2g %% of the gradient: it hardly counts; raise its weight or leave it out",
                name,
                100 * share,
            )
    return shares
