"""Frames that do not fit in memory come in shuffled shards: each once, resumable, in bounded memory."""

import gc
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from training_problem import CPU, Problem, learnable_labels

from asr_kd.frames.store import FrameStore
from asr_kd.train import frame_set
from asr_kd.train.frame_buffer import read_rows
from asr_kd.train.frame_set import FrameSet
from asr_kd.train.frame_table import PaddedRows, table_of_stores
from asr_kd.train.loop import Trainer

MakeStore = Callable[..., FrameStore]

sizes = st.one_of(st.none(), st.integers(1, 200))


@pytest.fixture(scope="module")
def stores(make_store: MakeStore) -> list[FrameStore]:
    """Two stores of 261 frames."""
    return [make_store([40, 3, 1, 70, 25], seed=1), make_store([17, 60, 2, 43], seed=2)]


def some_labels(stores: list[FrameStore], share: float) -> list[np.ndarray]:
    """Labels of whole utterances and of single frames."""
    rng = np.random.default_rng(5)
    return [np.where(rng.random(store.num_frames) < share, 1, -1).astype(np.int32) for store in stores]


def frame_set_of(stores: list[FrameStore], share: float, shuffle_frames: int | None) -> FrameSet:
    labels = some_labels(stores, share)
    return FrameSet(stores, labels, use_unlabelled=False, device=CPU, shuffle_frames=shuffle_frames)


def batches_of(frames: FrameSet, **how: int) -> list[tuple[list[int], torch.Tensor]]:
    asked = {"seed": 1, "epoch": 0, "batch_size": 16} | how
    return [(batch.frames_B.tolist(), batch.inputs_BW) for batch in frames.epoch(**asked)]


@given(shuffle_frames=sizes, share=st.sampled_from([0.2, 0.9, 1.0]), batch_size=st.integers(1, 90), how=st.data())
@settings(max_examples=50)
def test_an_epoch_has_every_eligible_frame_once_with_its_own_window(
    stores: list[FrameStore], shuffle_frames: int | None, share: float, batch_size: int, how: st.DataObject
) -> None:
    frames = frame_set_of(stores, share, shuffle_frames)
    seed, epoch = how.draw(st.integers(0, 50)), how.draw(st.integers(0, 9))
    windows = torch.cat([store.windows(slice(0, store.num_frames)) for store in stores])
    batches = batches_of(frames, seed=seed, epoch=epoch, batch_size=batch_size)
    expected = np.flatnonzero(np.concatenate(some_labels(stores, share)) >= 0)
    assert sorted(frame for found, _ in batches for frame in found) == expected.tolist()
    assert len(frames) == len(expected)
    assert len(batches) == frames.num_batches(batch_size)
    assert all(len(found) == batch_size for found, _ in batches[:-1])
    for found, inputs_BW in batches:
        assert torch.equal(inputs_BW, windows[found])


@given(shuffle_frames=sizes, batch_size=st.integers(1, 90))
@settings(max_examples=30)
def test_an_epoch_resumed_at_any_batch_equals_one_that_was_not_interrupted(
    stores: list[FrameStore], shuffle_frames: int | None, batch_size: int
) -> None:
    frames = frame_set_of(stores, 0.9, shuffle_frames)
    whole = batches_of(frames, batch_size=batch_size)
    for first in range(0, len(whole) + 2, max(1, len(whole) // 7)):
        rest = batches_of(frames, batch_size=batch_size, first_batch=first)
        assert [found for found, _ in rest] == [found for found, _ in whole[first:]]


@given(shuffle_frames=sizes, batch_size=st.integers(1, 40), num_ranks=st.integers(1, 5), first=st.integers(0, 3))
@settings(max_examples=50)
def test_the_ranks_batches_together_are_those_of_one_process(
    stores: list[FrameStore], shuffle_frames: int | None, batch_size: int, num_ranks: int, first: int
) -> None:
    frames = frame_set_of(stores, 0.9, shuffle_frames)
    alone = batches_of(frames, batch_size=batch_size, first_batch=first)
    ranks = [
        batches_of(frames, batch_size=batch_size, first_batch=first, rank=rank, num_ranks=num_ranks)
        for rank in range(num_ranks)
    ]
    assert {len(batches) for batches in ranks} == {len(alone)}
    assert max(frames.num_batches(batch_size) - first, 0) == len(alone)
    for (expected, inputs_BW), *parts in zip(alone, *ranks, strict=True):
        assert [frame for found, _ in parts for frame in found] == expected
        assert torch.equal(torch.cat([own_BW for _, own_BW in parts]), inputs_BW)
        assert max(len(found) for found, _ in parts) - min(len(found) for found, _ in parts) <= 1


def test_all_at_once_the_order_is_the_permutation_of_seed_and_epoch(stores: list[FrameStore]) -> None:
    """Results were published with it."""
    frames = frame_set_of(stores, 0.9, None)
    eligible = torch.from_numpy(np.flatnonzero(np.concatenate(some_labels(stores, 0.9)) >= 0))
    permutation = torch.randperm(len(eligible), generator=torch.Generator().manual_seed(7 * 1_000_003 + 2))
    found = [frame for batch, _ in batches_of(frames, seed=7, epoch=2) for frame in batch]
    assert found == eligible[permutation].tolist()
    for enough in (len(eligible), len(eligible) + 1):
        again = batches_of(frame_set_of(stores, 0.9, enough), seed=7, epoch=2)
        assert found == [frame for batch, _ in again for frame in batch]


def test_seeds_and_epochs_have_orders_of_their_own(stores: list[FrameStore]) -> None:
    frames = frame_set_of(stores, 0.9, 80)
    orders = {tuple(batches_of(frames, seed=seed, epoch=epoch)[0][0]) for seed in (1, 2) for epoch in (0, 1)}
    assert len(orders) == 4


def test_a_buffer_mixes_frames_from_all_over(make_store: MakeStore) -> None:
    store = make_store([100] * 100)
    frames = FrameSet([store], [None], use_unlabelled=True, device=CPU, shuffle_frames=1000)
    for found, _ in batches_of(frames, batch_size=100):
        assert len({frame // 100 for frame in found}) > 25
        assert max(found) - min(found) > 5000


def held_bytes() -> int:
    """Bytes of all tensors that are alive, storages that are shared counted once."""
    gc.collect()
    tensors = [thing for thing in gc.get_objects() if issubclass(type(thing), torch.Tensor)]
    return sum({t.untyped_storage().data_ptr(): t.untyped_storage().nbytes() for t in tensors}.values())


@pytest.mark.parametrize("batch_size", [64, 1024, 5000])
def test_two_buffers_are_in_memory_and_not_more(make_store: MakeStore, batch_size: int) -> None:
    store = make_store([200] * 100, left=20, right=5, dim=40)
    labels = np.zeros(store.num_frames, np.int32)
    assert len(store.padded) > store.num_frames
    before = held_bytes()
    frames = FrameSet([store], [labels], use_unlabelled=True, device=CPU, shuffle_frames=2048)
    beside = held_bytes() - before
    assert beside < labels.nbytes + 2 * store.num_frames
    # Shards of 32 frames: each is read with its context of 25, one in six has the border of an utterance.
    # A place in the order takes 4 bytes, one that was looked up 16.
    buffer = 2048 * (40 * 4 * (32 + 1.25 * 25) / 32 + 4 + 2 + 16)
    batch = batch_size * (40 * 4 * 26 + 16)
    present = max(2, 1 + -(-batch_size // 2048))
    watched = torch.linspace(0, frames.num_batches(batch_size) - 1, 12).int().tolist()
    for number, _ in enumerate(frames.epoch(seed=1, epoch=0, batch_size=batch_size)):
        if number in watched:
            assert held_bytes() - before - beside < present * buffer + batch


def test_all_at_once_takes_a_tenth_more_than_the_features_at_most(make_store: MakeStore) -> None:
    store = make_store([300] * 200, left=20, right=5, dim=40)
    features = store.padded.nbytes
    labels = np.zeros(store.num_frames, np.int32)
    before = held_bytes()
    frames = FrameSet([store], [labels], use_unlabelled=False, device=CPU)
    batch = next(frames.epoch(seed=1, epoch=0, batch_size=16))
    found_ahead = 16 * 32768
    assert held_bytes() - before - batch.inputs_BW.nbytes - found_ahead < 0.06 * features


def test_the_next_buffer_is_read_while_the_present_one_trains(
    stores: list[FrameStore], monkeypatch: pytest.MonkeyPatch
) -> None:
    read, begun = frame_set.read_buffer, [threading.Event() for _ in range(9)]

    def watched(table: object, rows: object, plan: object, number: int, **how: object) -> object:
        begun[number].set()
        return read(table, rows, plan, number, **how)  # type: ignore[arg-type]

    monkeypatch.setattr(frame_set, "read_buffer", watched)
    batches = frame_set_of(stores, 1.0, 64).epoch(seed=1, epoch=0, batch_size=8)
    next(batches)
    assert begun[0].is_set()
    assert begun[1].wait(timeout=20)
    assert not begun[2].is_set()


def test_an_interrupted_epoch_reads_only_what_is_left(
    stores: list[FrameStore], monkeypatch: pytest.MonkeyPatch
) -> None:
    read, numbers = frame_set.read_buffer, []

    def watched(table: object, rows: object, plan: object, number: int, **how: object) -> object:
        numbers.append(number)
        return read(table, rows, plan, number, **how)  # type: ignore[arg-type]

    monkeypatch.setattr(frame_set, "read_buffer", watched)
    batches_of(frame_set_of(stores, 1.0, 64), batch_size=16, first_batch=9)
    assert numbers == [2, 3, 4]


def test_a_set_without_a_label_has_no_batches(stores: list[FrameStore]) -> None:
    assert batches_of(FrameSet(stores, [None, None], use_unlabelled=False, device=CPU)) == []


@given(share=st.sampled_from([0.0, 0.02, 0.5, 1.0]), seed=st.integers(0, 99))
@settings(max_examples=20)
def test_the_rows_of_some_frames_are_read_and_no_others(stores: list[FrameStore], share: float, seed: int) -> None:
    rng = np.random.default_rng(seed)
    table = table_of_stores(stores, [rng.random(store.num_frames) < share for store in stores])
    rows, everything = PaddedRows([store.padded for store in stores], 4), torch.arange(len(table))
    own, own_RD = read_rows(table, rows, [(0, len(table))], device=CPU)
    (frames, firsts), (own_frames, own_firsts) = table.locate(everything), own.locate(everything)
    assert torch.equal(own_frames, frames)
    if len(table):
        assert torch.equal(PaddedRows([own_RD], 4).windows(own_firsts), rows.windows(firsts))
    assert len(own_RD) == len({int(first) + number for first in firsts for number in range(4)})


def test_training_from_shards_resumes_exactly(
    problem: Problem, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    frames = FrameSet(
        [problem.store], [learnable_labels(problem.store)], use_unlabelled=False, device=CPU, shuffle_frames=50
    )
    streamed = replace(problem, frames=frames)
    expected = streamed.run(tmp_path / "whole").state_dict()
    step, calls = Trainer.step, iter(range(100))

    def interrupted(*args: object) -> None:
        if next(calls) == 8:
            raise KeyboardInterrupt
        step(*args)  # type: ignore[arg-type]

    with monkeypatch.context() as patched:
        patched.setattr(Trainer, "step", interrupted)
        with pytest.raises(KeyboardInterrupt):
            streamed.run(tmp_path / "cut")
    for name, value in streamed.run(tmp_path / "cut").state_dict().items():
        assert torch.equal(value, expected[name]), name
