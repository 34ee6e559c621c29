"""A frame store's windows are those of its utterances alone, and a damaged store is an error."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from asr_kd.errors import DataError
from asr_kd.frames import store as store_module
from asr_kd.frames.store import FEATS_FILE, INDEX_FILE, META_FILE, FrameIndex, FrameStore, gather_windows

MakeStore = Callable[..., FrameStore]


def naive_window(feats: np.ndarray, frame: int, left: int, right: int) -> np.ndarray:
    """The frames around one, the utterance's first and last repeated at its edges."""
    around = range(frame - left, frame + right + 1)
    return np.concatenate([feats[min(max(place, 0), len(feats) - 1)] for place in around])


@pytest.fixture
def store(make_store: MakeStore) -> FrameStore:
    return make_store([3, 1, 7, 2], left=2, right=1)


@given(
    lengths=st.lists(st.integers(1, 30), min_size=1, max_size=6),
    left=st.integers(0, 20),
    right=st.integers(0, 5),
    seed=st.integers(0, 999),
)
@settings(max_examples=40, deadline=None)
def test_a_window_never_crosses_an_utterance(
    make_store: MakeStore, lengths: list[int], left: int, right: int, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    feats = [rng.standard_normal((length, 3)).astype(np.float32) for length in lengths]
    store = make_store(feats, left=left, right=right)
    expected = np.stack([naive_window(own, frame, left, right) for own in feats for frame in range(len(own))])
    assert store.input_dim == expected.shape[1]
    np.testing.assert_array_equal(store.windows(slice(0, store.num_frames)), expected)
    some = rng.integers(0, store.num_frames, 10)
    rows = torch.from_numpy(store.window_rows()[some])
    np.testing.assert_array_equal(gather_windows(store.padded, rows, left + 1 + right), expected[some])


@given(counts=st.lists(st.integers(0, 5), min_size=1, max_size=8), first=st.integers(0, 40), size=st.integers(0, 40))
@settings(max_examples=60, deadline=None)
def test_windows_of_an_utterance_begin_behind_the_padding_of_those_before(
    make_store: MakeStore, counts: list[int], first: int, size: int
) -> None:
    store = make_store([1])
    store.index = FrameIndex(("u",) * len(counts), ("s",) * len(counts), np.array(counts))
    number = np.repeat(np.arange(len(counts)), counts)
    expected = np.arange(sum(counts)) + number * (store.left + store.right)
    np.testing.assert_array_equal(store.window_rows(), expected)
    np.testing.assert_array_equal(store.window_rows(slice(first, first + size)), expected[first : first + size])


@pytest.mark.parametrize("frames", [slice(0, 13), slice(5, 9), slice(12, 13), slice(3, 3)])
def test_any_stretch_of_windows_is_that_of_all(store: FrameStore, frames: slice) -> None:
    whole = store.windows(slice(0, 13))
    assert torch.equal(store.windows(frames), whole[frames])
    assert torch.equal(store.windows(frames, dtype=torch.bfloat16), whole[frames].bfloat16())


def test_a_device_gathers_windows_from_the_stretch_of_rows_that_is_sent(
    store: FrameStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    gpu = torch.device("meta")  # stands for one: what lies there has no values
    sent: list[torch.Tensor] = []

    def gathered(padded: torch.Tensor, rows_B: torch.Tensor, context: int) -> torch.Tensor:
        sent.append(padded)
        return gather_windows(padded, rows_B, context)

    monkeypatch.setattr(store_module, "gather_windows", gathered)
    # Frames 4 to 8 of the third utterance, with 2 before and 1 behind.
    windows_BW = store.windows(slice(5, 10), gpu)
    assert (windows_BW.shape, windows_BW.device) == ((5, store.input_dim), gpu)
    assert [(own.shape, own.device) for own in sent] == [((8, store.dim), gpu)]


def test_own_frames_are_the_features_without_context(make_store: MakeStore) -> None:
    feats = [np.arange(12, dtype=np.float32).reshape(4, 3), -np.ones((2, 3), np.float32)]
    store = make_store(feats, left=4, right=2)
    np.testing.assert_array_equal(store.own_frames(slice(0, 6)), np.concatenate(feats))


def test_the_index_survives_its_file(store: FrameStore) -> None:
    again = FrameIndex.read(store.path / INDEX_FILE)
    assert again.utterances == store.index.utterances
    assert again.speakers == store.index.speakers
    np.testing.assert_array_equal(again.counts, [3, 1, 7, 2])
    assert [frames for _, frames in again.slices()] == [slice(0, 3), slice(3, 4), slice(4, 11), slice(11, 13)]
    lines = (store.path / INDEX_FILE).read_text().splitlines()
    assert lines[0].split("\t") == ["utterance", "speaker", "first_frame", "num_frames"]
    assert lines[3].split("\t")[2:] == ["4", "7"]


def test_what_is_made_from_other_options_has_another_fingerprint(make_store: MakeStore) -> None:
    one, same, other = make_store([3], left=2), make_store([5], left=2), make_store([3], left=3)
    assert one.features_fingerprint == same.features_fingerprint != other.features_fingerprint
    assert one.index_fingerprint == other.index_fingerprint != same.index_fingerprint


def shorten(file: Path, by: int) -> None:
    file.write_bytes(file.read_bytes()[:-by])


DAMAGES: dict[str, Callable[[Path], object]] = {
    "no directory": shutil.rmtree,
    "no features": lambda path: (path / FEATS_FILE).unlink(),
    "no index": lambda path: (path / INDEX_FILE).unlink(),
    "no meta": lambda path: (path / META_FILE).unlink(),
    "features cut off": lambda path: shorten(path / FEATS_FILE, 40),
    "features empty": lambda path: (path / FEATS_FILE).write_bytes(b""),
    "features no npy": lambda path: (path / FEATS_FILE).write_text("nothing"),
    "features of another number": lambda path: np.save(path / FEATS_FILE, np.zeros((24, 3), np.float32)),
    "features of another type": lambda path: np.save(path / FEATS_FILE, np.zeros((25, 3), np.float64)),
    "features of another shape": lambda path: np.save(path / FEATS_FILE, np.zeros(25, np.float32)),
    "index cut off": lambda path: shorten(path / INDEX_FILE, 10),
    "index altered": lambda path: (path / INDEX_FILE).write_text(
        (path / INDEX_FILE).read_text().replace("\t3\t1\n", "\t3\t2\n").replace("\t4\t7\n", "\t5\t6\n")
    ),
    "index no table": lambda path: (path / INDEX_FILE).write_text("nothing\n"),
    "meta cut off": lambda path: shorten(path / META_FILE, 20),
    "meta without what it must say": lambda path: (path / META_FILE).write_text("{}"),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_store_is_an_error_that_names_it(store: FrameStore, damage: str) -> None:
    DAMAGES[damage](store.path)
    with pytest.raises(DataError, match=str(store.path)) as error:
        FrameStore(store.path)
    assert "\n" not in str(error.value)


def test_meta_counts_what_is_there(store: FrameStore) -> None:
    meta = json.loads((store.path / META_FILE).read_text())
    assert (meta["num_utterances"], meta["num_frames"], meta["frame_shift_ms"]) == (4, 13, 10.0)
