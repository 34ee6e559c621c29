"""Check a Kaldi data directory and list everything wrong with it; exits with 1 if anything is."""

import logging
from dataclasses import dataclass
from pathlib import Path

from asr_kd.corpus.audio import parse_channel
from asr_kd.corpus.data_dir import load_data_dir
from asr_kd.corpus.validate import problems, warnings
from asr_kd.errors import DataError
from asr_kd.options import option

log = logging.getLogger("asr_kd")


@dataclass(frozen=True, kw_only=True)
class Options:
    data: Path = option("Kaldi data directory", positional=True)
    audio: bool = option("read all audio too: truncated, several channels, not finite", default=False)
    need_text: bool = option("every utterance must have a transcript", default=True)
    channel: str = option(
        "with --audio: refuse recordings of several channels, mix, or a channel's number", default="refuse"
    )
    allow_commands: bool = option("wav.scp may hold commands; with --audio they are run", default=False)


def run(options: Options) -> None:
    found = problems(
        options.data,
        audio=options.audio,
        need_text=options.need_text,
        allow_commands=options.allow_commands,
        channel=parse_channel(options.channel),
    )
    for line in found:
        print(line)
    for line in warnings(options.data):
        log.warning("warning: %s", line)
    if found:
        raise DataError(
            f"{options.data}: {len(found)} problems; `asr-kd fix-data {options.data} OUT` copies what can be used"
        )
    utterances = load_data_dir(options.data, need_text=options.need_text, allow_commands=options.allow_commands)
    print(f"{options.data}: {len(utterances)} utterances of {len({u.speaker for u in utterances})} speakers, all well")
