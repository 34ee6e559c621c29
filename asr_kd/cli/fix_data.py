"""Write a sorted, consistent copy of a Kaldi data directory, dropping what cannot be used and saying why."""

import logging
from dataclasses import dataclass
from pathlib import Path

from asr_kd.corpus.audio import parse_channel
from asr_kd.corpus.data_dir import data_fingerprint
from asr_kd.corpus.validate import fix
from asr_kd.options import option
from asr_kd.stage import Stage

log = logging.getLogger("asr_kd")


@dataclass(frozen=True, kw_only=True)
class Options:
    data: Path = option("Kaldi data directory", positional=True)
    out: Path = option("the data directory to write", positional=True)
    audio: bool = option("read all audio and drop what cannot be used", default=False)
    need_text: bool = option("drop utterances without a transcript", default=True)
    channel: str = option(
        "with --audio: refuse recordings of several channels, mix, or a channel's number", default="refuse"
    )
    allow_commands: bool = option("keep the commands in wav.scp; with --audio they are run", default=False)


def run(options: Options) -> None:
    stage = Stage(options.out, command="fix-data", options=options, inputs={"data": data_fingerprint(options.data)})
    if stage.finished():
        return
    with stage.writing() as partial:
        changes = fix(
            options.data,
            partial,
            audio=options.audio,
            need_text=options.need_text,
            allow_commands=options.allow_commands,
            channel=parse_channel(options.channel),
        )
        for line in changes:
            log.info("%s", line)
    log.info("%s: written, %d problems mended or dropped", options.out, len(changes))
