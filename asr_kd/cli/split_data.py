"""Split a data directory at random into parts, by speaker or by utterance: OUT/train, OUT/dev, ..."""

import logging
from dataclasses import dataclass
from pathlib import Path

from asr_kd.corpus.data_dir import absolute_audio, data_fingerprint, load_data_dir, write_data_dir
from asr_kd.corpus.subset import parse_parts, split
from asr_kd.options import option
from asr_kd.stage import Stage

log = logging.getLogger("asr_kd")


@dataclass(frozen=True, kw_only=True)
class Options:
    data: Path = option("Kaldi data directory", positional=True)
    out: Path = option("folder for one data directory a part", positional=True)
    parts: tuple[str, ...] = option("NAME:SHARE ..., such as train:0.8 dev:0.1 test:0.1, after IN and OUT")
    by: str = option("what is never divided", default="speaker", choices=("speaker", "utterance"))
    seed: int = option("seed of the random split", default=1)
    allow_commands: bool = option("wav.scp may hold commands; they are copied, not run", default=False)


def run(options: Options) -> None:
    parts = parse_parts(options.parts)
    stage = Stage(options.out, command="split-data", options=options, inputs={"data": data_fingerprint(options.data)})
    if stage.finished():
        return
    utterances = load_data_dir(options.data, need_text=False, allow_commands=options.allow_commands)
    chosen = split(utterances, parts, by_speaker=options.by == "speaker", seed=options.seed)
    entries = absolute_audio(utterances)
    with stage.writing() as partial:
        for name, members in chosen.items():
            write_data_dir(partial / name, members, entries)
    for name, members in chosen.items():
        num_speakers = len({u.speaker for u in members})
        log.info("%s: %d utterances of %d speakers", options.out / name, len(members), num_speakers)
