"""How far a part of the data goes with hard and with soft targets.

Reads models with their metrics, and directories of asr-kd evaluate; those of one name that were trained on the same
share of the data are one system over its seeds. OUT gets results.json, RESULTS.md and curves.png.
"""

from dataclasses import dataclass
from pathlib import Path

from asr_kd.options import group, option
from asr_kd.score.origin import Origin
from asr_kd.score.regularizer import load_partial_runs, regularizer_results
from asr_kd.score.regularizer_page import render_regularizer
from asr_kd.score.regularizer_plot import plot_regularizer
from asr_kd.stage import Stage, digest, fingerprint, write_json, write_text


@dataclass(frozen=True, kw_only=True)
class Options:
    models: tuple[Path, ...] = option("models of asr-kd train and distill", positional=True)
    out: Path = option("directory of the report to make", positional=True)
    evaluated: tuple[Path, ...] = option(
        "asr-kd evaluate of each model on the test set, in the same order", affects_result=False
    )
    fitted: tuple[Path, ...] = option(
        "asr-kd evaluate on the training set, of models trained on all of it without --watch-train",
        default=(),
        affects_result=False,
    )
    full: str = option("name of the system trained on all the data", default="hard")
    hard: str = option("name of the system trained with early stopping", default="hard, early stopping")
    origin: Origin = group(Origin)
    bootstrap_samples: int = option("resampled test sets", default=10_000)
    seed: int = option("seed of the bootstrap", default=1)

    def __post_init__(self) -> None:
        if self.bootstrap_samples < 100:
            raise ValueError("--bootstrap-samples must be at least 100")


def run(options: Options) -> None:
    inputs = {
        "models": digest([fingerprint(path) for path in options.models]),
        "evaluated": digest([fingerprint(path) for path in options.evaluated]),
        "fitted": digest([fingerprint(path) for path in options.fitted]),
    }
    stage = Stage(options.out, command="regularizer-report", options=options, inputs=inputs, replace=True)
    page = options.out / "RESULTS.md"
    if not stage.finished():
        results = options.origin.facts() | regularizer_results(
            load_partial_runs(options.models, options.evaluated, options.fitted),
            full=options.full,
            hard=options.hard,
            num_samples=options.bootstrap_samples,
            seed=options.seed,
        )
        with stage.writing() as folder:
            write_json(folder / "results.json", results)
            write_text(folder / page.name, render_regularizer(results))
            plot_regularizer(results, folder / "curves.png")
    print(page.read_text(encoding="utf-8"))
