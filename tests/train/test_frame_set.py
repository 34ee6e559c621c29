"""Every frame is trained on once an epoch, in an order that the seed and the epoch alone decide."""

import gc
import threading
from collections.abc import Callable

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from asr_kd.errors import MismatchError
from asr_kd.frames.store import FrameStore
from asr_kd.train import frame_set
from asr_kd.train.frame_set import FrameSet, GroupFrames

CPU = torch.device("cpu")
GPU = torch.device("meta")  # stands for one: what lies there has a size, but no values
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


def gpu_bytes() -> int:
    """Bytes of all tensors on the GPU, storages that are shared counted once."""
    gc.collect()
    tensors = [thing for thing in gc.get_objects() if issubclass(type(thing), torch.Tensor) and thing.device == GPU]
    return sum({t.untyped_storage()._cdata: t.untyped_storage().nbytes() for t in tensors}.values())


def on_gpu(
    stores: list[FrameStore], selected: list[np.ndarray], shuffle_frames: int | None, beside: FrameSet | None = None
) -> FrameSet:
    return FrameSet(
        stores,
        [labelled(store) for store in stores],
        use_unlabelled=False,
        selected=selected,
        device=GPU,
        shuffle_frames=shuffle_frames,
        beside=beside,
    )


@pytest.fixture
def stores(make_store: MakeStore) -> list[FrameStore]:
    """Two stores of 1,800 frames, 288,960 bytes of features."""
    return [make_store([90] * 10, dim=40, seed=seed) for seed in (1, 2)]


@pytest.fixture
def few(stores: list[FrameStore]) -> list[np.ndarray]:
    """An utterance of each store."""
    return [np.arange(store.num_frames) < 90 for store in stores]


@pytest.mark.parametrize("shuffle_frames", [180, 4096])
def test_few_frames_of_stores_that_do_not_fit_bring_only_their_own_rows_to_the_gpu(
    stores: list[FrameStore], few: list[np.ndarray], shuffle_frames: int
) -> None:
    before = gpu_bytes()
    frames = on_gpu(stores, few, shuffle_frames)
    labels, rows = 4 * 1800, 4 * 40 * 2 * 93
    assert labels + rows <= gpu_bytes() - before < labels + rows + 1000
    batches = list(frames.epoch(seed=1, epoch=0, batch_size=64))
    assert [batch.inputs_BW.shape for batch in batches] == [(64, 160), (64, 160), (52, 160)]


def test_more_frames_than_are_read_at_a_time_come_to_the_gpu_in_buffers(stores: list[FrameStore]) -> None:
    before = gpu_bytes()
    frames = on_gpu(stores, [np.ones(900, bool)] * 2, 512)
    assert gpu_bytes() - before == 4 * 1800
    held = [gpu_bytes() - before for _ in frames.epoch(seed=1, epoch=0, batch_size=64)]
    assert len(held) == frames.num_batches(64)
    assert 4 * 40 * 400 < max(held) < 289_000


def test_where_the_stores_fit_two_sets_of_them_share_rows_and_labels_on_the_gpu(
    stores: list[FrameStore], few: list[np.ndarray]
) -> None:
    before = gpu_bytes()
    some = on_gpu(stores, few, None)
    alone = gpu_bytes() - before
    others = on_gpu(stores, [~mask for mask in few], None, beside=some)
    assert alone > 4 * 40 * 1860 + 4 * 1800
    assert gpu_bytes() - before - alone < 4000
    assert others.labels_N is some.labels_N
    assert [len(batch.frames_B) for batch in others.epoch(seed=1, epoch=0, batch_size=1000)] == [1000, 620]


def test_no_frame_at_all_is_no_batch_on_the_gpu_either(stores: list[FrameStore]) -> None:
    assert list(on_gpu(stores, [np.zeros(900, bool)] * 2, 512).epoch(seed=1, epoch=0, batch_size=8)) == []


def test_a_member_of_a_group_hears_the_frames_in_its_own_order(make_store: MakeStore) -> None:
    store = make_store([50])
    frames = FrameSet([store], [labelled(store)], use_unlabelled=False, device=CPU)
    group = GroupFrames(frames, seeds := (3, 1, 2))
    for epoch in (0, 1, 2, 7, 7):
        alone = [frames.epoch(seed=seed, epoch=epoch, batch_size=16) for seed in seeds]
        expected = [torch.cat([batch.frames_B for batch in batches]) for batches in zip(*alone, strict=True)]
        for first in (0, 2):
            found = [batch.frames_B for batch in group.epoch(seed=0, epoch=epoch, batch_size=16, first_batch=first)]
            assert len(found) == 4 - first
            assert all(torch.equal(*pair) for pair in zip(found, expected[first:], strict=True))


def test_the_next_epochs_orders_are_drawn_while_a_group_trains(
    make_store: MakeStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, drawn, done = make_store([50]), [], threading.Event()

    def watched(num_frames: int, seed: int) -> torch.Tensor:
        drawn.append((seed, threading.current_thread() is threading.main_thread()))
        if len(drawn) == 4:
            done.set()
        return frame_set_order(num_frames, seed)

    frame_set_order = frame_set.random_order
    monkeypatch.setattr(frame_set, "random_order", watched)
    frames = FrameSet([store], [labelled(store)], use_unlabelled=False, device=CPU)
    batches = GroupFrames(frames, (3, 1)).epoch(seed=0, epoch=4, batch_size=16)
    next(batches)
    assert done.wait(timeout=20)
    assert drawn == [(seed * 1_000_003 + epoch, False) for epoch in (4, 5) for seed in (3, 1)]
