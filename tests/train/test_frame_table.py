"""Runs of frames, looked up position by position, say of each frame what an array with a row for each would say."""

from collections.abc import Callable

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from asr_kd.frames.store import FrameStore
from asr_kd.train.frame_table import PaddedRows, table_of_stores

MakeStore = Callable[..., FrameStore]
CONTEXT = 4

store_lengths = st.lists(st.lists(st.integers(1, 30), min_size=1, max_size=30), min_size=1, max_size=3)


def made(make_store: MakeStore, lengths: list[list[int]]) -> list[FrameStore]:
    return [make_store(own, seed=number) for number, own in enumerate(lengths)]


def all_rows(stores: list[FrameStore]) -> np.ndarray:
    firsts = np.cumsum([0, *(len(store.padded) for store in stores)])
    return np.concatenate([store.window_rows() + first for store, first in zip(stores, firsts, strict=False)])


@given(lengths=store_lengths, share=st.sampled_from([0.0, 0.1, 0.5, 0.95, 1.0]), seed=st.integers(0, 99))
@settings(max_examples=50)
def test_each_position_is_an_eligible_frame_and_its_row(
    make_store: MakeStore, lengths: list[list[int]], share: float, seed: int
) -> None:
    stores = made(make_store, lengths)
    eligible = [np.random.default_rng(seed).random(store.num_frames) < share for store in stores]
    table = table_of_stores(stores, eligible)
    expected = np.flatnonzero(np.concatenate(eligible))
    frames, rows = table.locate(torch.arange(len(table), dtype=torch.int32))
    np.testing.assert_array_equal(frames, expected)
    np.testing.assert_array_equal(rows, all_rows(stores)[expected])
    assert frames.dtype == rows.dtype == torch.int64


@given(lengths=store_lengths)
@settings(max_examples=20)
def test_no_mask_means_all_frames(make_store: MakeStore, lengths: list[list[int]]) -> None:
    stores = made(make_store, lengths)
    short = table_of_stores(stores, [None for _ in stores])
    long = table_of_stores(stores, [np.ones(store.num_frames, bool) for store in stores])
    positions = torch.arange(len(long)).flip(0)
    for found, expected in zip(short.locate(positions), long.locate(positions), strict=True):
        assert torch.equal(found, expected)


@given(lengths=store_lengths, seed=st.integers(0, 99), data=st.data())
@settings(max_examples=50)
def test_a_part_of_a_table_is_its_runs_cut_at_both_ends(
    make_store: MakeStore, lengths: list[list[int]], seed: int, data: st.DataObject
) -> None:
    stores = made(make_store, lengths)
    mask = [np.random.default_rng(seed).random(store.num_frames) < 0.7 for store in stores]
    mask[0][0] = True
    table = table_of_stores(stores, mask)
    begin = data.draw(st.integers(0, len(table) - 1))
    end = data.draw(st.integers(begin + 1, len(table)))
    lengths_S, *firsts = table.part(begin, end)
    assert (lengths_S > 0).all()
    for first_S, expected in zip(firsts, table.locate(torch.arange(begin, end)), strict=True):
        unrolled = [torch.arange(first, first + length) for first, length in zip(first_S, lengths_S, strict=True)]
        assert torch.equal(torch.cat(unrolled), expected)


@given(lengths=store_lengths, seed=st.integers(0, 99), batch_size=st.integers(0, 40))
@settings(max_examples=50)
def test_windows_of_several_stores_are_each_stores_own(
    make_store: MakeStore, lengths: list[list[int]], seed: int, batch_size: int
) -> None:
    stores = made(make_store, lengths)
    expected = torch.cat([store.windows(slice(0, store.num_frames)) for store in stores])
    rows = PaddedRows([store.padded for store in stores], CONTEXT)
    frames = torch.randint(len(expected), (batch_size,), generator=torch.Generator().manual_seed(seed))
    assert torch.equal(rows.windows(torch.from_numpy(all_rows(stores))[frames]), expected[frames])
    assert torch.equal(rows.to(torch.device("cpu")).windows(torch.from_numpy(all_rows(stores))), expected)


@given(lengths=store_lengths, data=st.data())
@settings(max_examples=30)
def test_rows_are_copied_across_the_borders_of_stores(
    make_store: MakeStore, lengths: list[list[int]], data: st.DataObject
) -> None:
    stores = made(make_store, lengths)
    expected = torch.cat([store.padded for store in stores])
    begin = data.draw(st.integers(0, len(expected)))
    end = data.draw(st.integers(begin, len(expected)))
    copied = torch.empty(end - begin, 3)
    PaddedRows([store.padded for store in stores], CONTEXT).copy(begin, end, copied)
    assert torch.equal(copied, expected[begin:end])
