"""Show what a system gets wrong: words confused, deleted and inserted, speakers, utterances.

Reads decode directories of one system (several are its seeds). OUT gets errors.md, confusions.tsv, words.tsv,
speakers.tsv and utterances.tsv.
"""

from dataclasses import dataclass
from pathlib import Path

from asr_kd.options import option
from asr_kd.score.confusions import count_confusions, write_confusions, write_words
from asr_kd.score.decoded import read_decoded
from asr_kd.score.errors_page import render_errors, write_utterances
from asr_kd.score.speakers import speaker_rows, write_speakers
from asr_kd.score.systems import System, as_system
from asr_kd.stage import Stage, fingerprint, write_text

PAGE_FILE = "errors.md"


@dataclass(frozen=True, kw_only=True)
class Options:
    decoded: tuple[Path, ...] = option("decode directories of one system; several are its seeds", positional=True)
    out: Path = option("directory to write", positional=True)
    number: int = option("rows of each table of words, and utterances shown", default=20)
    bootstrap_samples: int = option("resampled test sets", default=10_000)
    seed: int = option("seed of the bootstrap", default=1)

    def __post_init__(self) -> None:
        if self.number < 1:
            raise ValueError("--number must be at least 1")
        if self.bootstrap_samples < 100:
            raise ValueError("--bootstrap-samples must be at least 100")


def run(options: Options) -> None:
    inputs = {f"run {number}": fingerprint(directory) for number, directory in enumerate(options.decoded, 1)}
    stage = Stage(options.out, command="errors", options=options, inputs=inputs, replace=True)
    if not stage.finished():
        with stage.writing() as partial:
            _write(options, as_system([read_decoded(directory) for directory in options.decoded]), partial)
    print((options.out / PAGE_FILE).read_text(encoding="utf-8"), end="")


def _write(options: Options, system: System, out: Path) -> None:
    confusions = count_confusions(words for run in system.runs for words in run.alignments)
    speakers = speaker_rows([system], num_samples=options.bootstrap_samples, seed=options.seed)
    write_confusions(out / "confusions.tsv", confusions)
    write_words(out / "words.tsv", confusions)
    write_speakers(out / "speakers.tsv", [system], speakers)
    write_utterances(out / "utterances.tsv", system)
    page = render_errors(
        system,
        confusions,
        speakers,
        number=options.number,
        num_samples=options.bootstrap_samples,
        seed=options.seed,
    )
    write_text(out / PAGE_FILE, page)
