"""Turn a Kaldi data directory into a frame store of normalised log-mel filter banks."""

import logging
from dataclasses import dataclass
from pathlib import Path

import torch

from asr_kd.corpus.audio import AudioOptions
from asr_kd.corpus.data_dir import data_fingerprint
from asr_kd.errors import MismatchError
from asr_kd.frames.build import FeatureOptions, build_frame_store
from asr_kd.frames.cmvn import Moments
from asr_kd.frames.store import FrameStore
from asr_kd.options import group, option, to_dict
from asr_kd.stage import Stage, fingerprint

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Options:
    data: Path = option("Kaldi data directory", positional=True)
    out: Path = option("frame store to make", positional=True)
    features: FeatureOptions = group(FeatureOptions)
    prior: Path | None = option(
        "frame store of the training set, whose mean and variance --cmvn-prior-frames counts in",
        default=None,
        affects_result=False,
    )
    audio: AudioOptions = group(AudioOptions)
    nj: int = option("threads", default=1, affects_result=False)


def run(options: Options) -> None:
    inputs = {"data": data_fingerprint(options.data)}
    prior = None
    if options.prior is not None:
        store = FrameStore(options.prior)
        theirs = store.meta["features"].get("fbank", "none")
        if theirs != to_dict(options.features.fbank):
            raise MismatchError(f"--prior {options.prior} holds other filter banks than those asked for: {theirs}")
        prior = Moments.from_dict(store.meta["features"]["prior"])
        inputs["prior"] = fingerprint(options.prior)
    stage = Stage(options.out, command="make-fbank", options=options, inputs=inputs)
    if stage.finished():
        return
    utterances = options.audio.utterances(options.data)
    rate = options.features.fbank.sample_rate
    torch.set_num_threads(1)  # a thread of --nj needs no threads of its own
    with stage.writing() as partial:
        build_frame_store(
            partial,
            utterances,
            lambda utterance: options.audio.read(utterance, sample_rate=rate),
            options.features,
            prior=prior,
            nj=options.nj,
        )
    store = FrameStore(options.out)
    hours = store.num_frames * store.meta["frame_shift_ms"] / 3.6e6
    log.info("%s: %d utterances, %d frames, %.2f h", options.out, len(store.index.counts), store.num_frames, hours)
