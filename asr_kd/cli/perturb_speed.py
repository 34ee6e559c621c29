"""Copy a data directory's speech at other speeds: pitch and formants move as in a longer or shorter vocal tract.

Ko, Peddinti, Povey & Khudanpur, "Audio augmentation for speech recognition" (Interspeech 2015). An utterance ID
becomes sp0.9-ID, and so does its speaker, as in Kaldi's recipes.
"""

import logging
from dataclasses import dataclass
from pathlib import Path

import soxr
from tqdm import tqdm

from asr_kd.corpus.audio import AudioOptions
from asr_kd.corpus.data_dir import Utterance, data_fingerprint, write_data_dir
from asr_kd.corpus.wav import write_wav
from asr_kd.options import group, option
from asr_kd.stage import Stage
from asr_kd.threads import threaded_map

log = logging.getLogger("asr_kd")


@dataclass(frozen=True, kw_only=True)
class Options:
    data: Path = option("Kaldi data directory", positional=True)
    out: Path = option("the data directory to write, with its audio", positional=True)
    factors: tuple[float, ...] = option("speeds; above 1 is faster and higher", default=(0.9, 1.1))
    sample_rate: int = option("sample rate of the audio to write in Hz", default=16000)
    transcripts: bool = option("keep the transcripts; without them it is untranscribed speech", default=True)
    audio: AudioOptions = group(AudioOptions)
    nj: int = option("threads", default=1, affects_result=False)

    def __post_init__(self) -> None:
        if not self.factors or not all(0.1 <= factor <= 10 for factor in self.factors):
            raise ValueError("--factors must be speeds between 0.1 and 10")
        if len(set(self.factors)) < len(self.factors):
            raise ValueError("--factors: a speed is given twice")


def run(options: Options) -> None:
    inputs = {"data": data_fingerprint(options.data)}
    stage = Stage(options.out, command="perturb-speed", options=options, inputs=inputs)
    if stage.finished():
        return
    utterances = options.audio.utterances(options.data)
    with stage.writing() as partial:

        def perturb(utterance: Utterance) -> list[Utterance]:
            samples = options.audio.read(utterance, sample_rate=options.sample_rate)
            made = []
            for factor in options.factors:
                copy = _copy(utterance, f"sp{factor:g}-", transcripts=options.transcripts)
                other = soxr.resample(samples, options.sample_rate * factor, options.sample_rate)
                write_wav(partial / copy.audio, other, options.sample_rate)
                made.append(copy)
            return made

        copies = threaded_map(perturb, utterances, nj=options.nj)
        shown = tqdm(copies, "speed", total=len(utterances), unit="utt", disable=None, leave=False)
        write_data_dir(partial, [copy for _, made in shown for copy in made])
    log.info("%s: %d utterances at the speeds %s", options.out, len(utterances) * len(options.factors), options.factors)


def _copy(utterance: Utterance, prefix: str, *, transcripts: bool) -> Utterance:
    """The utterance under its new name; ``wav.scp`` names audio from its own folder."""
    return Utterance(
        id=prefix + utterance.id,
        speaker=prefix + utterance.speaker,
        audio=f"audio/{prefix}{utterance.id}.wav",
        words=utterance.words if transcripts else None,
    )
