"""Write what networks say of every frame as a Kaldi archive, for latgen-faster-mapped.

Log likelihoods are the log posteriors less the log priors, as asr-kd decode searches with them. Column p is pdf p.
"""

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from tqdm import tqdm

from asr_kd.decode.recognition import Scorer
from asr_kd.frames.store import FrameStore
from asr_kd.hmm.posteriors import load_models, utterance_log_posteriors
from asr_kd.kaldi.archives import encode_matrix, write_archive
from asr_kd.nets.device import DeviceOptions, prepare
from asr_kd.options import group, option
from asr_kd.stage import Stage, digest, fingerprint

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Options:
    models: tuple[Path, ...] = option("one model, or several whose posteriors are averaged", positional=True)
    out: Path = option("directory to make, with KIND.ark and KIND.scp", positional=True)
    frames: Path = option("frame store", affects_result=False)
    kind: str = option(
        "log likelihoods, for decoders; or posteriors, as probabilities or logarithms",
        default="loglikes",
        choices=("loglikes", "posteriors", "log-posteriors"),
    )
    compress: bool = option("16 bits a number (Kaldi's compressed matrix) instead of 32", default=False)
    device: DeviceOptions = group(DeviceOptions)
    nj: int = option("threads", default=1, affects_result=False)


def run(options: Options) -> None:
    inputs = {
        "frames": fingerprint(options.frames),
        "models": digest(sorted(fingerprint(path) for path in options.models)),
    }
    stage = Stage(options.out, command="export-posteriors", options=options, inputs=inputs)
    if stage.finished():
        return
    device = prepare(options.device)
    store = FrameStore(options.frames)
    models = list(load_models(options.models, store, device, options.device.dtype).values())

    def matrices() -> Iterator[tuple[str, np.ndarray]]:
        if options.kind == "loglikes":
            yield from Scorer(models, device, options.nj).log_likelihoods(store)
            return
        for utterance, _, logp in utterance_log_posteriors(models, store, device=device, nj=options.nj):
            yield utterance, logp if options.kind == "log-posteriors" else np.exp(logp)

    total = len(store.index.utterances)
    with stage.writing() as partial:
        shown = tqdm(matrices(), "export", total=total, unit="utt", disable=None, leave=False)
        encoded = ((utterance, encode_matrix(matrix, compress=options.compress)) for utterance, matrix in shown)
        write_archive(partial, options.kind, encoded, final=options.out)
    log.info("%s: %s of %d utterances, %d pdfs", options.out, options.kind, total, models[0].card.num_pdfs)
