"""Forced alignment of a whole frame store by an acoustic model.

Legend: N frames, T frames of one utterance, P pdfs.
"""

import logging
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from tqdm import tqdm

from asr_kd.errors import AlignmentError, UsageError
from asr_kd.frames.store import FrameStore
from asr_kd.hmm.forced_alignment import align_utterances
from asr_kd.hmm.labels import write_labels
from asr_kd.hmm.posteriors import utterance_log_posteriors
from asr_kd.hmm.states import StateInventory
from asr_kd.lang.lexicon import Lexicon, load_lang_lexicon
from asr_kd.nets.acoustic_model import AcousticModel
from asr_kd.options import option

log = logging.getLogger(__name__)

Transcripts = Mapping[str, tuple[str, ...]]


@dataclass(frozen=True, kw_only=True)
class AlignOptions:
    """How frames are aligned."""

    align_scale: float = option("weight of the acoustic scores in forced alignment", default=1.0)

    def __post_init__(self) -> None:
        if not self.align_scale > 0:
            raise UsageError(f"--align-scale must be above 0, got {self.align_scale:g}")


@dataclass(frozen=True)
class Language:
    """Lexicon and states: what alignment needs beside scores and words."""

    lexicon: Lexicon
    states: StateInventory

    @staticmethod
    def load(lang: Path) -> "Language":
        """Read a directory made by ``asr-kd make-lang`` or ``asr-kd tie-states``."""
        return Language(load_lang_lexicon(lang), StateInventory.load(lang))


def align_store(
    model: AcousticModel,
    store: FrameStore,
    transcripts: Transcripts,
    language: Language,
    options: AlignOptions,
    *,
    device: torch.device,
    nj: int = 1,
) -> tuple[np.ndarray, list[tuple[str, str]]]:
    """The best path of every utterance through its own words.

    Returns:
        pdf ids ``[N]`` (-1 where there are none), and the utterances dropped with the reason.
    """
    prior = model.log_prior.cpu().numpy()

    def scored() -> Iterator[tuple[str, tuple[str, ...], np.ndarray]]:
        for utterance, _, logp in utterance_log_posteriors([model], store, device=device, nj=nj):
            if utterance in transcripts:
                yield utterance, transcripts[utterance], logp - prior

    frames = dict(store.index.slices())
    pdfs = np.full(store.num_frames, -1, np.int32)
    dropped = [(utterance, "no transcript") for utterance in frames if utterance not in transcripts]
    aligned = align_utterances(scored(), language.lexicon, language.states, acoustic_scale=options.align_scale, nj=nj)
    for found in tqdm(aligned, "align", total=len(frames) - len(dropped), unit="utt", disable=None, leave=False):
        if found.pdfs is None:
            dropped.append((found.utt, found.reason))
        else:
            pdfs[frames[found.utt]] = found.pdfs
    return pdfs, dropped


def write_aligned(
    directory: Path, store: FrameStore, pdfs: np.ndarray, dropped: list[tuple[str, str]], states: StateInventory
) -> None:
    """Write labels, and say which utterances were dropped and why."""
    for utterance, reason in dropped:
        log.warning("%s: dropped, %s", utterance, reason)
    write_labels(
        directory, store, pdfs, num_pdfs=states.num_pdfs, states_fingerprint=states.fingerprint, dropped=dropped
    )


def check_dropped(dropped: list[tuple[str, str]], store: FrameStore) -> None:
    """Check that most utterances could be aligned.

    Raises:
        AlignmentError: most could not.
    """
    if len(dropped) > len(store.index.utterances) / 2:
        raise AlignmentError(
            f"{len(dropped)} of {len(store.index.utterances)} utterances cannot be aligned (as {dropped[0][0]}: "
            f"{dropped[0][1]}); check that transcripts, audio and lexicon belong together"
        )
