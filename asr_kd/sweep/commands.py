"""What a sweep runs: the commands of every soft-target store and of every student, and where they write."""

from collections.abc import Iterator, Sequence
from dataclasses import MISSING, dataclass, fields, replace
from pathlib import Path
from typing import Any

from asr_kd.nets.dnn import NetOptions
from asr_kd.sweep.grid import SETS, Cell, show
from asr_kd.sweep.jobs import Job
from asr_kd.targets.store import SoftTargetOptions
from asr_kd.train.loop import TrainOptions
from asr_kd.train.selection import SelectOptions


@dataclass(frozen=True, kw_only=True)
class Labelled:
    """A labelled frame store."""

    frames: Path
    labels: Path


@dataclass(frozen=True, kw_only=True)
class Sweep:
    """All that a sweep's students share.

    Attributes:
        sets: dev and test.
        given: stores of logits of the frame stores, good for every temperature. Where there are none, stores are made
            of the teachers: one for each temperature, or one of logits for all.
    """

    out: Path
    frames: Sequence[Path]
    labels: Sequence[Path]
    sets: dict[str, Labelled]
    teachers: Sequence[Path]
    given: Sequence[Path]
    targets: SoftTargetOptions
    select: SelectOptions
    net: NetOptions
    train: TrainOptions

    def model(self, cell: Cell, seed: int) -> Path:
        """The directory of a student."""
        return self.out / "models" / cell.run_name(seed)

    def evaluation(self, of: str, cell: Cell, seed: int) -> Path:
        """The directory of a student's frame accuracy on dev or test."""
        return self.out / of / cell.run_name(seed)

    def soft_target_jobs(self, temperatures: Sequence[float]) -> list[Job]:
        """A job for each store to make."""
        if self.given:
            return []
        stores = {
            store: (frames, temperature)
            for temperature in temperatures
            for frames, store in zip(self.frames, self._stores(temperature), strict=True)
        }
        return [
            Job(
                name=f"{store.parent.name}/{store.name}",
                commands=(self._make_soft_targets(frames, temperature, store),),
                log=self.out / "log" / f"soft-{store.parent.name}-{store.name}.log",
            )
            for store, (frames, temperature) in stores.items()
        ]

    def student_job(self, cell: Cell, seed: int) -> Job:
        """Train a student and evaluate it on dev and test."""
        name = cell.run_name(seed)
        evaluations = (self._evaluate(of, cell, seed) for of in SETS)
        return Job(name=name, commands=(self._distill(cell, seed), *evaluations), log=self.out / "log" / f"{name}.log")

    def _stores(self, temperature: float) -> Sequence[Path]:
        folder = self.out / "soft" / ("logits" if self.targets.logits else f"T{show(temperature)}")
        return self.given or [folder / f"{number}-{frames.name}" for number, frames in enumerate(self.frames, 1)]

    def _make_soft_targets(self, frames: Path, temperature: float, store: Path) -> tuple[str, ...]:
        targets = self.targets if self.targets.logits else replace(self.targets, temperature=temperature)
        flags = (*flags_of(targets), *flags_of(self.train.device))
        return _words("make-soft-targets", *flags, "--", frames, *self.teachers, store)

    def _distill(self, cell: Cell, seed: int) -> tuple[str, ...]:
        dev = self.sets["dev"]
        soft: list[object] = ["--soft-targets", *self._stores(cell.temperature)]
        if self.given and self.teachers:
            soft += ["--teachers", *self.teachers]
        if self.given or self.targets.logits:
            soft += [f"--temperature={cell.temperature}"]
        return _words(
            "distill",
            *flags_of(self.select),
            *flags_of(replace(self.net, hidden_dim=cell.hidden_dim)),
            *flags_of(replace(self.train, seed=seed)),
            *(f"--soft-weight={cell.soft_weight}", f"--hard-weight={cell.hard_weight}"),
            *soft,
            *("--labels", *self.labels, "--dev-frames", dev.frames, "--dev-labels", dev.labels),
            *("--", *self.frames, self.model(cell, seed)),
        )

    def _evaluate(self, of: str, cell: Cell, seed: int) -> tuple[str, ...]:
        data = ("--frames", self.sets[of].frames, "--labels", self.sets[of].labels)
        models = (self.model(cell, seed), self.evaluation(of, cell, seed))
        return _words("evaluate", "--name", cell.name, *data, *flags_of(self.train.device), "--", *models)


def flags_of(options: Any) -> Iterator[str]:
    """A dataclass of options as a command's words; those that have their default are left out."""
    for field in fields(options):
        value = getattr(options, field.name)
        flag = "--" + field.name.replace("_", "-")
        if field.metadata.get("group"):
            yield from flags_of(value)
        elif field.default is MISSING or value != field.default:
            yield from (flag, *map(str, value)) if isinstance(value, tuple) else (f"{flag}={value}",)


def _words(*words: object) -> tuple[str, ...]:
    return tuple(map(str, words))
