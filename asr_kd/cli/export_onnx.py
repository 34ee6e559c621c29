"""Export a bundle for onnxruntime: it recognises without torch, in fp32 or int8.

OUT is a bundle like BUNDLE, with model.onnx for weights. It is checked against torch before it is written.
"""

import logging
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from asr_kd.bundle.contents import read_bundle
from asr_kd.bundle.exporting import export_bundle
from asr_kd.bundle.recognizer import Recognizer
from asr_kd.corpus.audio import AudioOptions
from asr_kd.corpus.data_dir import data_fingerprint
from asr_kd.errors import UsageError
from asr_kd.options import group, option
from asr_kd.stage import Stage, digest

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Options:
    bundle: Path = option("bundle, from asr-kd make-bundle", positional=True)
    out: Path = option("bundle to make", positional=True)
    int8: bool = option("weights and activations of 8 bits: a quarter of the size", default=False)
    data: Path | None = option(
        "data directory with speech to check the export on; --int8 finds the ranges of activations on it: not the test "
        "set, but dev or train",
        default=None,
        affects_result=False,
    )
    audio: AudioOptions = group(AudioOptions)
    num_utterances: int = option("utterances of it that are used, from all over it", default=100)

    def __post_init__(self) -> None:
        if self.int8 and self.data is None:
            raise UsageError("asr-kd export-onnx: --int8 needs --data DIR to find the ranges of activations on")
        if self.num_utterances < 1:
            raise UsageError("--num-utterances must be at least 1")


def run(options: Options) -> None:
    inputs = {"bundle": digest(read_bundle(options.bundle))}
    if options.data is not None:
        inputs["data"] = data_fingerprint(options.data)
    stage = Stage(options.out, command="export-onnx", options=options, inputs=inputs)
    if stage.finished():
        return
    windows = [] if options.data is None else _windows(options, options.data)
    with stage.writing() as partial:
        export_bundle(options.bundle, partial, int8=options.int8, windows=windows)
    log.info("%s: ready; recognises without torch", options.out)


def _windows(options: Options, data: Path) -> list[np.ndarray]:
    """Windows of each utterance, views of its frames."""
    front_end = Recognizer(options.bundle).front_end
    utterances = options.audio.utterances(data)
    rate = front_end.log_mel.sample_rate
    chosen = utterances[:: -(-len(utterances) // options.num_utterances)]
    log_mels = (front_end.log_mel(options.audio.read(one, sample_rate=rate)) for one in chosen)
    return [front_end.windows(log_mel) for log_mel in log_mels if len(log_mel)]
