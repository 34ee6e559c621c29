"""Score all systems of an experiment: frame accuracy, WER, intervals, gain kept, report and plots.

Reads EXP/decode/*; several EXP are folds of one protocol and are pooled. OUT gets results.json,
RESULTS.md, table.png, training.png, speakers.tsv and, for each decoded run, its word errors and alignments.
"""

from dataclasses import dataclass
from pathlib import Path

from asr_kd.options import group, option
from asr_kd.score.alignments import write_alignments
from asr_kd.score.experiment import corpus_facts, training_curves, wall_seconds
from asr_kd.score.origin import Origin
from asr_kd.score.plots import plot_table, plot_training
from asr_kd.score.report import read_results, render
from asr_kd.score.results import build_results
from asr_kd.score.speakers import write_speakers
from asr_kd.score.summary import summary_table
from asr_kd.score.systems import decode_directories, load_systems
from asr_kd.score.vocabulary import language_models, out_of_vocabulary, read_vocabulary
from asr_kd.stage import Stage, file_sha256, fingerprint, write_json, write_text


@dataclass(frozen=True, kw_only=True)
class Options:
    exp: tuple[Path, ...] = option("experiment directories; several are folds of one protocol", positional=True)
    out: Path = option("directory to write", positional=True)
    origin: Origin = group(Origin)
    bootstrap_samples: int = option("resampled test sets", default=10_000)
    seed: int = option("seed of the bootstrap", default=1)
    lm: tuple[Path, ...] = option(
        "ARPA files to give the test set's perplexity under", default=(), affects_result=False
    )
    data: tuple[Path, ...] = option(
        "folders of data directories: the time it took to make them counts too", default=(), affects_result=False
    )

    def __post_init__(self) -> None:
        if self.bootstrap_samples < 100:
            raise ValueError("--bootstrap-samples must be at least 100")


def run(options: Options) -> None:
    inputs = {
        f"fold {fold} {directory.name}": fingerprint(directory)
        for fold, experiment in enumerate(options.exp, 1)
        for directory in decode_directories(experiment)
    }
    inputs |= {f"lm {number}": file_sha256(path) for number, path in enumerate(options.lm, 1)}
    stage = Stage(options.out, command="score", options=options, inputs=inputs, replace=True)
    if not stage.finished():
        with stage.writing() as partial:
            _score(options, partial)
    print(summary_table(read_results(options.out / "results.json")))


def _score(options: Options, out: Path) -> None:
    systems = load_systems(options.exp)
    results = build_results(
        systems,
        origin=options.origin,
        num_folds=len(options.exp),
        num_samples=options.bootstrap_samples,
        seed=options.seed,
    )
    results["corpus"] = corpus_facts(options.exp) | results["corpus"]
    vocabulary = read_vocabulary(options.exp[0])
    results["out_of_vocabulary"] = out_of_vocabulary(systems, vocabulary) if vocabulary else None
    results["language_models"] = language_models(systems[0].runs[0].references(), options.lm)
    results["seconds"], results["total_seconds"] = wall_seconds([*options.exp, *options.data])
    for system in systems:
        for run in system.runs:
            write_alignments(out / run.directory.name, run)
    write_json(out / "results.json", results)
    write_speakers(out / "speakers.tsv", systems, results["speakers"])
    write_text(out / "RESULTS.md", render([results]))
    plot_table(results, out / "table.png")
    plot_training(training_curves(options.exp[0]), out / "training.png")
