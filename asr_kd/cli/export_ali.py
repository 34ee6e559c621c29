"""Write labels as a Kaldi archive of pdf ids: a vector of int32 for each utterance."""

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from asr_kd.frames.store import FrameStore
from asr_kd.hmm.labels import Labels, match_labels
from asr_kd.kaldi.archives import encode_integers, write_archive
from asr_kd.options import option
from asr_kd.stage import Stage, fingerprint

log = logging.getLogger(__name__)

NAME = "ali"


@dataclass(frozen=True, kw_only=True)
class Options:
    frames: Path = option("frame store", positional=True)
    labels: Path = option("its labels, from asr-kd align", positional=True)
    out: Path = option("directory to make, with ali.ark and ali.scp", positional=True)


def run(options: Options) -> None:
    inputs = {"frames": fingerprint(options.frames), "labels": fingerprint(options.labels)}
    stage = Stage(options.out, command="export-ali", options=options, inputs=inputs)
    if stage.finished():
        return
    store = FrameStore(options.frames)
    (labels,) = match_labels([store], [Labels.load(options.labels)])
    assert labels is not None
    with stage.writing() as partial:
        count = write_archive(partial, NAME, _vectors(store, labels), final=options.out)
    log.info("%s: alignments of %d of %d utterances", options.out, count, len(store.index.utterances))


def _vectors(store: FrameStore, labels: Labels) -> Iterator[tuple[str, bytes]]:
    """The utterances that have labels, up to their last labelled frame; none with a gap before it."""
    for utterance, frames in store.index.slices():
        own = labels.pdfs[frames]
        (labelled,) = np.nonzero(own >= 0)
        if len(labelled) and labelled[-1] == len(labelled) - 1:
            yield utterance, encode_integers(own[: len(labelled)])
