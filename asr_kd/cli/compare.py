"""Test whether two systems differ: matched pairs and paired bootstrap.

`compare A B` takes two directories of one test set, as decode, rescore or evaluate make them; `compare A1 A2 ... --vs
B1 B2 ...` two systems of several seeds each. Runs of one seed on different utterances are folds. Differences are B - A.
A directory with ref.txt and hyp.txt alone (`<utterance> <word> ...`) holds the words of any other recogniser.
"""

from dataclasses import dataclass
from pathlib import Path

from asr_kd.errors import UsageError
from asr_kd.options import option
from asr_kd.score.comparison import compare_sides, load_side
from asr_kd.score.comparison_page import render_comparison
from asr_kd.stage import write_json


@dataclass(frozen=True, kw_only=True)
class Options:
    systems: tuple[Path, ...] = option("directories of A and B, or with --vs of A's runs", positional=True)
    vs: tuple[Path, ...] = option("directories of B's runs", default=())
    samples: int = option("resampled test sets", default=10_000)
    seed: int = option("seed of the bootstrap", default=1)
    json: Path | None = option("file to write the figures to as well", default=None)

    def __post_init__(self) -> None:
        if not self.vs and len(self.systems) != 2:
            raise UsageError(
                f"asr-kd compare: {len(self.systems)} directories; give two, or those of A, --vs and those of B"
            )
        if self.samples < 100:
            raise ValueError("--samples must be at least 100")


def run(options: Options) -> None:
    sides = (options.systems, options.vs) if options.vs else (options.systems[:1], options.systems[1:])
    a, b = (load_side(directories) for directories in sides)
    comparison = compare_sides(a, b, num_samples=options.samples, seed=options.seed)
    if options.json:
        write_json(options.json, comparison)
    print(render_comparison(comparison))
