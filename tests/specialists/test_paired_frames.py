"""Half of every batch from the subset, half from the rest."""

from collections.abc import Callable

import numpy as np
import pytest
import torch

from asr_kd.frames.store import FrameStore
from asr_kd.specialists.paired_frames import PairedFrames
from asr_kd.train.frame_set import FrameSet

CPU = torch.device("cpu")


@pytest.fixture
def store(make_store: Callable[..., FrameStore]) -> FrameStore:
    return make_store([60, 41, 99])


def paired(store: FrameStore, inside_N: np.ndarray) -> PairedFrames:
    labels_N = np.where(inside_N, 0, 1).astype(np.int32)
    sets = [
        FrameSet([store], [labels_N], use_unlabelled=False, selected=[mask], device=CPU)
        for mask in (inside_N, ~inside_N)
    ]
    return PairedFrames(*sets)


def few_inside(store: FrameStore, every: int = 7) -> np.ndarray:
    return np.arange(store.num_frames) % every == 0


@pytest.mark.parametrize("every", [7, 2])
def test_each_batch_has_as_many_frames_inside_as_outside(store: FrameStore, every: int) -> None:
    inside_N = few_inside(store, every)
    if every == 2:
        inside_N = ~(np.arange(store.num_frames) % 5 == 0)
    frames = paired(store, inside_N)
    batches = list(frames.epoch(seed=1, epoch=0, batch_size=16))
    assert len(batches) == frames.num_batches(16)
    assert sum(len(batch.frames_B) for batch in batches) == len(frames) == 2 * min(inside_N.sum(), (~inside_N).sum())
    for batch in batches:
        assert inside_N[batch.frames_B.numpy()].sum() * 2 == len(batch.frames_B)


def test_an_epoch_sees_every_frame_of_the_smaller_side_once(store: FrameStore) -> None:
    inside_N = few_inside(store)
    seen = torch.cat([batch.frames_B for batch in paired(store, inside_N).epoch(seed=1, epoch=2, batch_size=10)])
    assert sorted(frame for frame in seen.tolist() if inside_N[frame]) == np.flatnonzero(inside_N).tolist()
    assert len(set(seen.tolist())) == len(seen)


def test_the_frames_outside_are_drawn_anew_in_every_epoch(store: FrameStore) -> None:
    inside_N = few_inside(store)
    frames = paired(store, inside_N)
    outside = [
        {f for batch in frames.epoch(seed=1, epoch=epoch, batch_size=16) for f in batch.frames_B.tolist()}
        - set(np.flatnonzero(inside_N).tolist())
        for epoch in (0, 1)
    ]
    assert outside[0] != outside[1]


def test_over_many_epochs_a_frame_inside_comes_as_much_more_often_as_is_said(store: FrameStore) -> None:
    inside_N = few_inside(store)
    frames = paired(store, inside_N)
    counts = np.zeros(store.num_frames)
    for epoch in range(200):
        for batch in frames.epoch(seed=1, epoch=epoch, batch_size=32):
            counts[batch.frames_B.numpy()] += 1
    ratio = counts[inside_N].mean() / counts[~inside_N].mean()
    assert ratio == pytest.approx(frames.oversampling)
    assert counts[~inside_N].min() > 0


def test_windows_are_those_of_the_frames(store: FrameStore) -> None:
    windows = store.windows(slice(0, store.num_frames))
    for batch in paired(store, few_inside(store)).epoch(seed=3, epoch=0, batch_size=8):
        assert torch.equal(batch.inputs_BW, windows[batch.frames_B])


def test_an_interrupted_epoch_goes_on_where_it_was(store: FrameStore) -> None:
    frames = paired(store, few_inside(store))
    whole = [batch.frames_B.tolist() for batch in frames.epoch(seed=1, epoch=1, batch_size=12)]
    rest = [batch.frames_B.tolist() for batch in frames.epoch(seed=1, epoch=1, batch_size=12, first_batch=2)]
    assert rest == whole[2:]


def test_sets_of_one_size_come_in_different_orders(store: FrameStore) -> None:
    half = store.num_frames // 2
    inside_N = np.arange(store.num_frames) < half
    batches = [batch.frames_B.tolist() for batch in paired(store, inside_N).epoch(seed=1, epoch=0, batch_size=20)]
    inside = [frame for batch in batches for frame in batch if frame < half]
    outside = [frame - half for batch in batches for frame in batch if frame >= half]
    assert sorted(inside) == sorted(outside) == list(range(half))
    assert inside != outside
