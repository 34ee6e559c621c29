"""Join the recordings of the Free Spoken Digit Dataset into connected digits: train, dev and test.

CORPUS holds data/train and data/test (Kaldi data directories), or is a checkout of the dataset's repository.
Protocol official tests on new recordings of the training speakers, held-out on speakers never heard before.
"""

import logging
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from tqdm import tqdm

from asr_kd.corpus.data_dir import Utterance, write_data_dir
from asr_kd.corpus.fsdd import FsddOptions, String, make_audio, make_talkers, plan_strings, share_recordings
from asr_kd.corpus.fsdd_recordings import SAMPLE_RATE, SHA256, checksum, load_recordings, verify
from asr_kd.corpus.wav import write_wav
from asr_kd.options import group, option
from asr_kd.stage import Stage

log = logging.getLogger("asr_kd")


@dataclass(frozen=True, kw_only=True)
class Options:
    corpus: Path = option("a copy of FSDD", positional=True)
    out: Path = option("directory to make: train, dev, test, extra and their audio", positional=True)
    fsdd: FsddOptions = group(FsddOptions)
    checksum: str = option("SHA-256 of all samples, in hex; 'any' accepts every copy", default=SHA256)


def run(options: Options) -> None:
    recordings = load_recordings(options.corpus)
    if options.checksum != "any":
        verify(recordings, options.checksum, options.corpus)
    shares = share_recordings(recordings, options.fsdd)
    plan = plan_strings(shares, options.fsdd)
    stage = Stage(options.out, command="make-fsdd", options=options, inputs=_inputs(checksum(recordings), options))
    if stage.finished():
        return
    talkers = make_talkers(shares)
    with stage.writing() as folder, tqdm(total=sum(map(len, plan.values())), unit="utt", disable=None) as bar:
        for split, strings in plan.items():
            utterances = []
            for string, samples in make_audio(strings, options.fsdd, talkers):
                audio = f"audio/{split}/{string.speaker}/{string.id}.wav"
                write_wav(folder / audio, samples, SAMPLE_RATE)
                utterances.append(_utterance(string, f"../{audio}", labelled=split != "extra"))
                bar.update()
            write_data_dir(folder / split, utterances)
    log.info("%s: %s", options.out, ", ".join(f"{len(strings)} strings in {split}" for split, strings in plan.items()))


def _utterance(string: String, audio: str, *, labelled: bool) -> Utterance:
    return Utterance(id=string.id, speaker=string.speaker, audio=audio, words=string.words if labelled else None)


def _inputs(recordings: str, options: Options) -> dict[str, str]:
    inputs = {"recordings": recordings}
    if options.fsdd.synthetic_strings or options.fsdd.extra_strings:
        inputs["espeak-ng"] = metadata.version("espeakng-loader")
    return inputs
