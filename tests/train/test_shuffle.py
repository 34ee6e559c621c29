"""How many frames are shuffled at a time is decided once, by what memory holds."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from asr_kd.errors import UsageError
from asr_kd.frames.store import FrameStore
from asr_kd.train import shuffle
from asr_kd.train.shuffle import MOST_FRAMES, SHUFFLE_FILE, ShuffleOptions, decided_shuffle, frames_that_fit

CPU = torch.device("cpu")
MakeStore = Callable[..., FrameStore]


@pytest.fixture
def store(make_store: MakeStore) -> FrameStore:
    """1,000 frames; with labels and order 32,120 bytes."""
    return make_store([100] * 10, left=0, right=0, dim=6)


def decided(
    store: FrameStore, directory: Path, *, free: int, asked: int | None = None, begun: bool = False, num_sets: int = 1
) -> int | None:
    options = ShuffleOptions(shuffle_frames=asked)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(shuffle, "free_bytes", lambda device: free)
        return decided_shuffle(options, [store], directory, device=CPU, begun=begun, num_sets=num_sets)


def test_all_frames_are_shuffled_at_once_where_half_of_the_memory_holds_them(store: FrameStore, tmp_path: Path) -> None:
    assert decided(store, tmp_path, free=64_000) is None
    assert not (tmp_path / SHUFFLE_FILE).exists()
    assert decided(store, tmp_path, free=63_998) == 256


def test_sets_that_are_read_side_by_side_share_the_memory(store: FrameStore, tmp_path: Path) -> None:
    assert decided(store, tmp_path, free=64_000, num_sets=2) is None
    assert decided(store, tmp_path, free=63_998, num_sets=2) == 128
    # Of a run that began so, or as the user wants it, each set has as many frames as is said.
    assert decided(store, tmp_path, free=10**9, num_sets=2, begun=True) == 128
    assert decided(store, tmp_path, free=10**9, num_sets=2, asked=77) == 77


def test_a_run_goes_on_as_it_began_whatever_memory_is_free_now(store: FrameStore, tmp_path: Path) -> None:
    assert decided(store, tmp_path, free=10_000) == decided(store, tmp_path, free=10**9, begun=True) == 64
    (tmp_path / SHUFFLE_FILE).unlink()
    assert decided(store, tmp_path, free=10_000, begun=True) is None


def test_what_is_asked_for_is_done(store: FrameStore, tmp_path: Path) -> None:
    assert decided(store, tmp_path, free=10**9, asked=77) == 77
    with pytest.raises(UsageError, match="--shuffle-frames must be at least 1"):
        ShuffleOptions(shuffle_frames=0)


@given(num_bytes=st.integers(0, 10**6), length=st.integers(1, 50), count=st.integers(1, 20))
def test_two_buffers_fit(make_store: MakeStore, num_bytes: int, length: int, count: int) -> None:
    store = make_store([length] * count)
    needed = store.padded.nbytes + 8 * store.num_frames
    found = frames_that_fit([store], num_bytes)
    assert (found is None) == (needed <= num_bytes)
    if found is not None:
        assert found & (found - 1) == 0
        assert 1 <= found <= MOST_FRAMES
        assert found == 1 or 2 * found * needed / store.num_frames <= num_bytes
