"""Made-up frames, labels and networks for measuring: what is in them does not matter, how much there is does.

Legend: N frames of all utterances, D features, W width of a window.
"""

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import torch

from asr_kd.frames.build import FeatureOptions
from asr_kd.frames.fbank import FbankOptions
from asr_kd.frames.store import FEATS_FILE, FrameIndex, FrameStore, write_meta
from asr_kd.nets.acoustic_model import AcousticModel, ModelCard
from asr_kd.nets.dnn import NetOptions
from asr_kd.options import to_dict
from asr_kd.train.frame_set import FrameSet

UTTERANCE_FRAMES = 500
BLOCK_FRAMES = 50_000


def make_store(directory: Path, num_frames: int, *, dim: int = 40, left: int = 20, right: int = 5) -> FrameStore:
    """Write a frame store of normalised noise, piece by piece, so that a large one needs no memory."""
    counts = np.full(-(-num_frames // UTTERANCE_FRAMES), UTTERANCE_FRAMES, np.int64)
    counts[-1] = num_frames - counts[:-1].sum()
    num_rows = num_frames + len(counts) * (left + right)
    block = np.random.default_rng(0).standard_normal((BLOCK_FRAMES, dim), dtype=np.float32)
    blocks = (block[: num_rows - begin] for begin in range(0, num_rows, BLOCK_FRAMES))
    return write_store(directory, blocks, counts, dim=dim, left=left, right=right)


def write_store(
    directory: Path, blocks: Iterable[np.ndarray], counts: np.ndarray, *, dim: int, left: int, right: int
) -> FrameStore:
    """Write a frame store of given rows.

    Args:
        blocks: the rows ``[., D]`` of all utterances with their padding, in pieces.
        counts: frames of each utterance.
    """
    directory.mkdir(parents=True, exist_ok=True)
    with (directory / FEATS_FILE).open("wb") as file:
        num_rows = int(counts.sum()) + len(counts) * (left + right)
        header = {"descr": "<f4", "fortran_order": False, "shape": (num_rows, dim)}
        np.lib.format.write_array_header_1_0(file, header)
        for block in blocks:
            block.tofile(file)
    ids = tuple(f"utterance-{number:06d}" for number in range(len(counts)))
    options = FeatureOptions(fbank=FbankOptions(num_mel_bins=dim), left_context=left, right_context=right)
    index = FrameIndex(ids, ("speaker",) * len(ids), counts)
    write_meta(directory, index, features=to_dict(options) | {"prior": {}}, extra={})
    return FrameStore(directory)


def random_labels(num_frames: int, num_pdfs: int) -> np.ndarray:
    """A pdf id for each frame ``[N]``."""
    return np.random.default_rng(1).integers(num_pdfs, size=num_frames, dtype=np.int32)


def frame_set(store: FrameStore, num_pdfs: int, device: torch.device) -> FrameSet:
    """A store's frames with random labels, where a network is trained on them."""
    labels_N = random_labels(store.num_frames, num_pdfs)
    return FrameSet([store], [labels_N], use_unlabelled=False, device=device)


def make_model(store: FrameStore, net: NetOptions, num_pdfs: int, seed: int) -> AcousticModel:
    """An untrained model of a store's features."""
    card = ModelCard(
        net=net,
        input_dim=store.input_dim,
        num_pdfs=num_pdfs,
        features=store.meta["features"],
        features_fingerprint=store.features_fingerprint,
        states_fingerprint="synthetic",
    )
    log_prior = torch.full((num_pdfs,), 1 / num_pdfs).log()
    return AcousticModel(card, card.new_net(seed=seed).eval(), log_prior, fingerprint=f"synthetic-{seed}")
