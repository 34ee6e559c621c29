"""Distil over a grid of temperatures, weights, widths and seeds: a table, heat maps, and what is within noise.

Every student is trained and evaluated as by `asr-kd distill` and `asr-kd evaluate` in OUT/models, OUT/dev and OUT/test:
an interrupted sweep carries on, and a value added to a list trains only what is new. OUT/report gets results.json,
RESULTS.md and pictures.
"""

import logging
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from asr_kd import shortcut
from asr_kd.cli.main import main
from asr_kd.errors import JobError, UsageError
from asr_kd.nets.dnn import NetOptions
from asr_kd.options import group, option
from asr_kd.score.decoded import read_speakers
from asr_kd.score.evaluated import FRAMES_FILE, SPEAKERS_FILE
from asr_kd.score.frame_accuracy import read_frames
from asr_kd.score.origin import Origin
from asr_kd.score.report import read_results
from asr_kd.stage import Stage, fingerprint, write_json, write_text
from asr_kd.sweep.commands import Labelled, Sweep
from asr_kd.sweep.figures import Evaluated, sweep_results
from asr_kd.sweep.grid import SETS, Cell, GridOptions
from asr_kd.sweep.jobs import Ended, Job, run_jobs
from asr_kd.sweep.plots import plot_sweep
from asr_kd.sweep.report import METRICS, render, verdict
from asr_kd.targets.ensemble import MEANS
from asr_kd.targets.store import SoftTargetOptions
from asr_kd.train.loop import TrainOptions
from asr_kd.train.selection import SelectOptions

log = logging.getLogger(__name__)

COMMANDS = ("asr_kd.cli.make_soft_targets", "asr_kd.cli.distill", "asr_kd.cli.evaluate")


@dataclass(frozen=True, kw_only=True)
class Options:
    frames: tuple[Path, ...] = option("frame stores of the transfer set, labelled or not", positional=True)
    out: Path = option("directory of the sweep", positional=True)
    grid: GridOptions = group(GridOptions)
    labels: tuple[Path, ...] = option("labels of those frame stores that have some", affects_result=False)
    dev_frames: Path = option("frame store the best cell is chosen on", affects_result=False)
    dev_labels: Path = option("its labels", affects_result=False)
    test_frames: Path = option("frame store that nothing is chosen on", affects_result=False)
    test_labels: Path = option("its labels", affects_result=False)
    teachers: tuple[Path, ...] = option("models of the ensemble", default=(), affects_result=False)
    soft_targets: tuple[Path, ...] = option(
        "stores of logits of the frame stores, in the same order; without them stores are made of the teachers",
        default=(),
        affects_result=False,
    )
    mean: str = option("how the teachers' distributions are averaged", default="arithmetic", choices=MEANS)
    dense: bool | None = option(
        "keep all probabilities of a frame, as of make-soft-targets", default=SoftTargetOptions.dense
    )
    logits: bool = option("make stores of logits, one for all temperatures", default=False)
    top_k: int = option("largest probabilities kept of a frame", default=SoftTargetOptions.top_k)
    tail_samples: int = option("classes drawn from the rest", default=SoftTargetOptions.tail_samples)
    select: SelectOptions = group(SelectOptions)
    net: NetOptions = group(NetOptions)
    train: TrainOptions = group(TrainOptions)
    metric: str = option("what table and pictures show", default="accuracy", choices=[*METRICS])
    origin: Origin = group(Origin)
    bootstrap_samples: int = option("resampled sets of utterances", default=10_000)
    nj: int = option("students side by side", default=1, affects_result=False)

    def __post_init__(self) -> None:
        if self.bootstrap_samples < 100:
            raise ValueError("--bootstrap-samples must be at least 100")
        if not self.soft_targets and not self.teachers:
            raise ValueError("give --teachers, or --soft-targets (from asr-kd make-soft-targets --logits)")
        if self.soft_targets and len(self.soft_targets) != len(self.frames):
            raise ValueError(
                f"{len(self.frames)} frame stores but {len(self.soft_targets)} --soft-targets; "
                "give one for each, in the same order"
            )
        if self.soft_targets and self.targets != SoftTargetOptions():
            raise ValueError(
                "--mean, --dense, --logits, --top-k and --tail-samples say how stores are made of --teachers: "
                "leave them out, or --soft-targets"
            )

    @property
    def targets(self) -> SoftTargetOptions:
        """How stores are made of the teachers; the grid says of which temperature."""
        return SoftTargetOptions(
            mean=self.mean,
            dense=self.dense,
            logits=self.logits,
            top_k=self.top_k,
            tail_samples=self.tail_samples,
        )

    @property
    def seeds(self) -> tuple[int, ...]:
        """The seeds of every cell."""
        return self.grid.seeds or (self.train.seed,)


def run(options: Options) -> None:
    sweep = _sweep(options)
    cells = options.grid.cells(options.net.hidden_dim)
    _run(sweep.soft_target_jobs(options.grid.temperatures), "soft-target store", options)
    # The widest first: a long one at the end would leave the other processes without work.
    by_width = sorted(cells, key=lambda cell: -cell.hidden_dim)
    _run([sweep.student_job(cell, seed) for cell in by_width for seed in options.seeds], "student", options)
    directories = {
        (cell, of, seed): sweep.evaluation(of, cell, seed) for cell in cells for of in SETS for seed in options.seeds
    }
    inputs = {f"{of} {cell.run_name(seed)}": fingerprint(path) for (cell, of, seed), path in directories.items()}
    stage = Stage(options.out / "report", command="sweep", options=options, inputs=inputs, replace=True)
    if not stage.finished():
        with stage.writing() as partial:
            _report(options, cells, directories, partial)
    print(verdict(read_results(options.out / "report/results.json"), options.metric).replace("**", ""))


def _report(
    options: Options, cells: Sequence[Cell], directories: Mapping[tuple[Cell, str, int], Path], out: Path
) -> None:
    evaluated = [
        Evaluated(
            cell=cell,
            seeds=options.seeds,
            speakers={of: _speakers(directories[cell, of, options.seeds[0]]) for of in SETS},
            counts={
                of: [read_frames(directories[cell, of, seed] / FRAMES_FILE)[1] for seed in options.seeds] for of in SETS
            },
        )
        for cell in cells
    ]
    about = options.origin.facts() | {"metric": options.metric}
    results = about | sweep_results(evaluated, num_samples=options.bootstrap_samples, seed=1)
    write_json(out / "results.json", results)
    write_text(out / "RESULTS.md", render(results, options.metric))
    plot_sweep(results, options.metric, out)


def _speakers(evaluated: Path) -> tuple[str, ...]:
    return read_speakers(evaluated / SPEAKERS_FILE, read_frames(evaluated / FRAMES_FILE)[0])


def _sweep(options: Options) -> Sweep:
    return Sweep(
        out=options.out,
        frames=options.frames,
        labels=options.labels,
        sets={
            "dev": Labelled(frames=options.dev_frames, labels=options.dev_labels),
            "test": Labelled(frames=options.test_frames, labels=options.test_labels),
        },
        teachers=options.teachers,
        given=options.soft_targets,
        targets=options.targets,
        select=options.select,
        net=options.net,
        train=options.train,
    )


def _run(jobs: list[Job], what: str, options: Options) -> None:
    """Run those jobs that are not done; all of them, even where one fails.

    Raises:
        JobError: some failed.
        UsageError: a command was called wrongly, as all others would be.
    """
    todo = [job for job in jobs if not all(shortcut.is_done(words) for words in job.commands)]
    failed: list[Ended] = []
    with closing(run_jobs(todo, run_command=main, nj=options.nj, preload=COMMANDS)) as endings:
        for number, ended in enumerate(endings, 1):
            if ended.exit_code == 2:
                raise UsageError(ended.last_words)
            if ended.exit_code:
                failed.append(ended)
                log.error("%s failed: %s (%s)", ended.job.name, ended.last_words, ended.job.log)
            else:
                log.info("%d of %d: %s, %.0f s", number, len(todo), ended.job.name, ended.seconds)
    if failed:
        raise JobError(
            f"{len(failed)} of {len(todo)} {what}s failed, the others are kept. {failed[0].job.name}: "
            f"{failed[0].last_words} (see {failed[0].job.log}). The same command tries again what failed"
        )
