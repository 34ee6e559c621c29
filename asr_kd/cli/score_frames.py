"""Table of evaluated models: frame accuracy with intervals, and what each keeps of a teacher's gain.

Reads directories of asr-kd evaluate, all of the same frames; those of one name are one system over its seeds.
"""

from dataclasses import dataclass
from pathlib import Path

from asr_kd.options import group, option
from asr_kd.score.frame_results import frame_results, load_evaluated, render_frames
from asr_kd.score.origin import Origin
from asr_kd.stage import Stage, digest, fingerprint, write_json, write_text


@dataclass(frozen=True, kw_only=True)
class Options:
    evaluated: tuple[Path, ...] = option("directories of asr-kd evaluate", positional=True)
    out: Path = option("directory to write: results.json, RESULTS.md", positional=True)
    title: str = option("what was tried, for the report")
    baseline: str = option("name of the system without distillation", default="baseline")
    teacher: str = option("name of the system that was distilled", default="ensemble")
    origin: Origin = group(Origin)
    bootstrap_samples: int = option("resampled test sets", default=10_000)
    seed: int = option("seed of the bootstrap", default=1)

    def __post_init__(self) -> None:
        if self.bootstrap_samples < 100:
            raise ValueError("--bootstrap-samples must be at least 100")


def run(options: Options) -> None:
    inputs = {"evaluated": digest([fingerprint(path) for path in options.evaluated])}
    stage = Stage(options.out, command="score-frames", options=options, inputs=inputs, replace=True)
    page = options.out / "RESULTS.md"
    if not stage.finished():
        results = (
            options.origin.facts()
            | {"title": options.title}
            | frame_results(
                load_evaluated(options.evaluated),
                baseline=options.baseline,
                teacher=options.teacher,
                num_samples=options.bootstrap_samples,
                seed=options.seed,
            )
        )
        with stage.writing() as folder:
            write_json(folder / "results.json", results)
            write_text(folder / page.name, render_frames(results))
    print(page.read_text(encoding="utf-8"))
