"""Test whether two decoded systems differ: matched pairs and paired bootstrap.

A and B are decode directories of one test set; differences are B - A.
"""

from dataclasses import dataclass
from pathlib import Path

from asr_kd.options import option
from asr_kd.score.decoded import read_decoded
from asr_kd.score.summary import compare_runs
from asr_kd.score.systems import require_same_test_set


@dataclass(frozen=True, kw_only=True)
class Options:
    a: Path = option("decode directory of the first system", positional=True)
    b: Path = option("decode directory of the second system", positional=True)
    samples: int = option("resampled test sets", default=10_000)
    seed: int = option("seed of the bootstrap", default=1)

    def __post_init__(self) -> None:
        if self.samples < 100:
            raise ValueError("--samples must be at least 100")


def run(options: Options) -> None:
    a, b = read_decoded(options.a), read_decoded(options.b)
    require_same_test_set(a, b)
    print(compare_runs(a, b, num_samples=options.samples, seed=options.seed))
