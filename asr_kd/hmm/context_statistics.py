"""What a network's hidden layer says about every phone state in every context: Gaussian statistics.

Senior, Heigold, Bacchiani & Liao, "GMM-free DNN training" (ICASSP 2014): contexts are tied by the activations of
the last hidden layer of a context-independent network, not by those of a Gaussian mixture model.

Legend: N frames of a store, C states in context that were seen, D dimensions of projected activations, H hidden units.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from asr_kd.frames.store import FrameStore
from asr_kd.hmm.states import StateInventory
from asr_kd.nets.acoustic_model import AcousticModel

DIMENSIONS = 40
CHUNK_FRAMES = 4096
PROJECTION_FRAMES = 131072


@dataclass(frozen=True)
class ContextStatistics:
    """Every state in every context that occurs, and the sums over its frames.

    Attributes:
        phones: the phones that the numbers below stand for.
        seen: ``[C, 4]`` numbers of the phone, of its state from the left, of the phone before and the phone after.
        count: ``[C]`` frames.
        first: ``[C, D]`` sum of the activations; ``second`` of their squares.
        of_frame: ``[N]`` the number of each frame's state in context, -1 where a frame has no label.
    """

    phones: tuple[str, ...]
    seen: np.ndarray
    count: np.ndarray
    first: np.ndarray
    second: np.ndarray
    of_frame: np.ndarray


def collect_statistics(
    model: AcousticModel, store: FrameStore, pdfs_N: np.ndarray, inventory: StateInventory, *, device: torch.device
) -> ContextStatistics:
    """Go over a labelled frame store once.

    Args:
        model: of the inventory's states.
        pdfs_N: pdf id of every frame, -1 where it has none.
        inventory: context-independent; each pdf belongs to one state of one phone.
    """
    phones = tuple(inventory.phones)
    windows_N4 = contexts_of_frames(store, pdfs_N, inventory)
    labelled = windows_N4[:, 0] >= 0
    seen, inverse = np.unique(windows_N4[labelled], axis=0, return_inverse=True)
    of_frame = np.full(len(pdfs_N), -1, np.int64)
    of_frame[labelled] = inverse.reshape(-1)
    mean_H, projection_HD = _projection(model, store, labelled, device)
    first = torch.zeros(len(seen), projection_HD.shape[1], dtype=torch.float64, device=device)
    second = torch.zeros_like(first)
    for frames, hidden_BH in tqdm(_hidden(model, store, device), "tie", unit="chunk", disable=None, leave=False):
        own = torch.from_numpy(of_frame[frames]).to(device)
        x_BD = ((hidden_BH - mean_H) @ projection_HD)[own >= 0].double()
        first.index_add_(0, own[own >= 0], x_BD)
        second.index_add_(0, own[own >= 0], x_BD.square())
    count = np.bincount(of_frame[labelled], minlength=len(seen)).astype(np.float64)
    return ContextStatistics(phones, seen, count, first.cpu().numpy(), second.cpu().numpy(), of_frame)


def contexts_of_frames(store: FrameStore, pdfs_N: np.ndarray, inventory: StateInventory) -> np.ndarray:
    """Phone, state, phone before and phone after of every frame ``[N, 4]``, -1 where a frame has no label.

    A phone ends where another begins, or where its first state follows its last. (So two of the same phone in a
    row, of a single state each, are one.) Beyond an utterance's edge there is silence.
    """
    phone_of_pdf, place_of_pdf = np.zeros((2, inventory.num_pdfs), dtype=np.int64)
    for number, states in enumerate(inventory.phones.values()):
        for place, pdf in enumerate(states):
            if not isinstance(pdf, int):
                raise ValueError("states are tied already")
            phone_of_pdf[pdf], place_of_pdf[pdf] = number, place
    silence = list(inventory.phones).index(inventory.silence)
    result = np.full((len(pdfs_N), 4), -1, np.int64)
    for _, frames in store.index.slices():
        own = pdfs_N[frames]
        if len(own) == 0 or own[0] < 0:
            continue
        phone, place = phone_of_pdf[own], place_of_pdf[own]
        begins = np.flatnonzero((np.diff(phone) != 0) | (np.diff(place) < 0)) + 1
        run = np.zeros(len(own), np.int64)
        run[begins] = 1
        run = np.cumsum(run)
        spoken = np.concatenate(([silence], phone[np.concatenate(([0], begins))], [silence]))
        result[frames] = np.stack([phone, place, spoken[run], spoken[run + 2]], axis=1)
    return result


@torch.inference_mode()
def _hidden(model: AcousticModel, store: FrameStore, device: torch.device) -> Iterator[tuple[slice, Tensor]]:
    """The activations ``[B, H]`` of the last hidden layer, chunk by chunk."""
    body = model.net.layers[:-1]
    for frames in store.chunks(CHUNK_FRAMES):
        yield frames, body(store.windows(frames, device))


def _projection(
    model: AcousticModel, store: FrameStore, labelled: np.ndarray, device: torch.device
) -> tuple[Tensor, Tensor]:
    """The activations' mean ``[H]`` and their first principal components ``[H, D]``, scaled to variance 1."""
    every = max(1, round(store.num_frames / PROJECTION_FRAMES))
    # Gathered, not sliced: a view would keep all activations of its chunk alive.
    parts = [
        hidden_BH[torch.from_numpy(np.flatnonzero(labelled[frames])[::every]).to(device)]
        for frames, hidden_BH in _hidden(model, store, device)
    ]
    x_BH = torch.cat(parts).double()
    mean_H = x_BH.mean(dim=0)
    covariance = torch.cov((x_BH - mean_H).T)
    values, vectors = torch.linalg.eigh(covariance)
    kept = min(DIMENSIONS, int((values > 1e-8 * values[-1]).sum()))
    scaled = vectors[:, -kept:] / values[-kept:].sqrt()
    return mean_H.float(), scaled.float()
