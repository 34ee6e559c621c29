"""Recognise audio files with a bundle: prints '<utterance-id> <words>' for each.

An utterance's id is its file's name without the ending.
"""

from dataclasses import dataclass
from pathlib import Path

from asr_kd.bundle.recognizer import Recognizer
from asr_kd.corpus.audio import parse_channel
from asr_kd.nets.device import DeviceOptions, prepare
from asr_kd.options import option


@dataclass(frozen=True, kw_only=True)
class Options:
    bundle: Path = option("bundle, from asr-kd make-bundle", positional=True)
    files: tuple[Path, ...] = option("audio files of any rate and container that libsndfile reads", positional=True)
    channel: str = option("which channel of a recording of several: refuse, mix, or its number", default="refuse")
    nj: int = option("processes that search", default=1)


def run(options: Options) -> None:
    prepare(DeviceOptions())
    recognizer = Recognizer(options.bundle)
    channel = parse_channel(options.channel)
    for found in recognizer.recognize_all(options.files, channel=channel, nj=options.nj):
        print(found.utt, *found.words, flush=True)
