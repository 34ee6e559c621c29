"""Every frame is trained on once an epoch, in an order that the seed and the epoch alone decide."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from asr_kd.errors import MismatchError
from asr_kd.frames.store import FrameStore
from asr_kd.train.frame_set import FrameSet

CPU = torch.device("cpu")
MakeStore = Callable[..., FrameStore]


def frames_of(given_set: FrameSet, **how: int) -> list[int]:
    return [int(frame) for batch in given_set.epoch(**how) for frame in batch.frames_B]


def labelled(store: FrameStore, *, every: int = 1, offset: int = 0) -> np.ndarray:
    """A label for each n-th frame."""
    labels = np.full(store.num_frames, -1, np.int32)
    labels[offset::every] = np.arange(store.num_frames)[offset::every] % 7
    return labels


@given(
    lengths=st.lists(st.integers(1, 40), min_size=1, max_size=4),
    batch_size=st.integers(1, 60),
    seed=st.integers(0, 99),
    epoch=st.integers(0, 9),
)
@settings(max_examples=40, deadline=None)
def test_an_epoch_has_every_frame_once(
    make_store: MakeStore, lengths: list[int], batch_size: int, seed: int, epoch: int
) -> None:
    store = make_store(lengths)
    frames = FrameSet([store], [labelled(store)], use_unlabelled=False, device=CPU)
    batches = list(frames.epoch(seed=seed, epoch=epoch, batch_size=batch_size))
    assert len(frames) == sum(lengths)
    assert len(batches) == frames.num_batches(batch_size)
    assert sorted(int(frame) for batch in batches for frame in batch.frames_B) == list(range(sum(lengths)))
    assert all(len(batch.frames_B) == batch_size for batch in batches[:-1])


def test_the_order_depends_on_seed_and_epoch_alone(make_store: MakeStore) -> None:
    store = make_store([100])
    frames = FrameSet([store], [labelled(store)], use_unlabelled=False, device=CPU)
    torch.manual_seed(1)
    first = frames_of(frames, seed=1, epoch=0, batch_size=16)
    torch.manual_seed(2)
    assert first == frames_of(frames, seed=1, epoch=0, batch_size=16)
    assert first == frames_of(frames, seed=1, epoch=0, batch_size=7)
    others = [frames_of(frames, seed=s, epoch=e, batch_size=16) for s, e in ((1, 1), (2, 0), (2, 1))]
    assert len({tuple(order) for order in [first, *others]}) == 4


def test_an_epoch_carries_on_where_it_stopped(make_store: MakeStore) -> None:
    store = make_store([100])
    frames = FrameSet([store], [labelled(store)], use_unlabelled=False, device=CPU)
    whole = frames_of(frames, seed=3, epoch=2, batch_size=16)
    assert frames_of(frames, seed=3, epoch=2, batch_size=16, first_batch=4) == whole[64:]
    assert frames_of(frames, seed=3, epoch=2, batch_size=16, first_batch=7) == []


def test_several_stores_are_one_set_and_a_frame_keeps_its_window_and_label(make_store: MakeStore) -> None:
    stores = [make_store([5, 9], seed=1), make_store([3], seed=2), make_store([8, 1], seed=3)]
    labels = [labelled(store) for store in stores]
    frames = FrameSet(stores, labels, use_unlabelled=False, device=CPU)
    windows = torch.cat([store.windows(slice(0, store.num_frames)) for store in stores])
    seen = 0
    for batch in frames.epoch(seed=1, epoch=0, batch_size=4):
        torch.testing.assert_close(batch.inputs_BW, windows[batch.frames_B], rtol=0, atol=0)
        expected = np.concatenate(labels)[batch.frames_B.numpy()]
        np.testing.assert_array_equal(frames.labels_N[batch.frames_B], expected)
        seen += len(batch.frames_B)
    assert seen == 26


def test_frames_without_a_label_are_left_out_unless_asked_for(make_store: MakeStore) -> None:
    stores = [make_store([20]), make_store([10], seed=1)]
    labels = [labelled(stores[0], every=3, offset=1), None]
    hard = FrameSet(stores, labels, use_unlabelled=False, device=CPU)
    assert sorted(frames_of(hard, seed=1, epoch=0, batch_size=4)) == list(range(1, 20, 3))
    soft = FrameSet(stores, labels, use_unlabelled=True, device=CPU)
    assert sorted(frames_of(soft, seed=1, epoch=0, batch_size=4)) == list(range(30))
    assert int((soft.labels_N >= 0).sum()) == len(hard) == 7


def test_stores_of_other_features_are_a_mismatch_that_names_both(make_store: MakeStore) -> None:
    stores = [make_store([5]), make_store([5], left=3)]
    with pytest.raises(MismatchError) as error:
        FrameSet(stores, [None, None], use_unlabelled=True, device=CPU)
    for store in stores:
        assert str(store.path) in str(error.value)
        assert store.features_fingerprint in str(error.value)
