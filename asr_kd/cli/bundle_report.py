"""Compare bundles on one test set: word errors, speed of one thread, sizes, and the same heard as a stream.

OUT gets bundles.json and BUNDLES.md. Times are processor time, and depend on the machine.
"""

from dataclasses import dataclass
from pathlib import Path

from asr_kd.bundle.contents import read_bundle
from asr_kd.bundle.measure import as_json, measure, render
from asr_kd.corpus.audio import AudioOptions
from asr_kd.corpus.data_dir import data_fingerprint
from asr_kd.errors import UsageError
from asr_kd.options import group, option
from asr_kd.stage import Stage, digest, write_json, write_text


@dataclass(frozen=True, kw_only=True)
class Options:
    bundles: tuple[Path, ...] = option("bundles, the one to compare with first", positional=True)
    out: Path = option("directory of the report to make", positional=True)
    data: Path = option("data directory of the test set", affects_result=False)
    audio: AudioOptions = group(AudioOptions)
    stream: bool = option("recognise every utterance as a stream too", default=False)
    bootstrap_samples: int = option("resampled test sets", default=10_000)
    seed: int = option("seed of the bootstrap", default=1)

    def __post_init__(self) -> None:
        if self.bootstrap_samples < 100:
            raise UsageError("--bootstrap-samples must be at least 100")


def run(options: Options) -> None:
    inputs = {"data": data_fingerprint(options.data)}
    inputs |= {f"bundle {number}": digest(read_bundle(path)) for number, path in enumerate(options.bundles, 1)}
    stage = Stage(options.out, command="bundle-report", options=options, inputs=inputs)
    if not stage.finished():
        utterances = [one for one in options.audio.utterances(options.data, need_text=True) if one.words]
        measured = [measure(path, utterances, options.audio, stream=options.stream) for path in options.bundles]
        rows = as_json(measured, num_samples=options.bootstrap_samples, seed=options.seed)
        with stage.writing() as partial:
            write_json(partial / "bundles.json", rows)
            write_text(partial / "BUNDLES.md", render(rows) + "\n")
    print((options.out / "BUNDLES.md").read_text(encoding="utf-8"), end="")
