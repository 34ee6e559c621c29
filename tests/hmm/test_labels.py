"""Labels are found by the frames they were made for, and anything else is refused."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from asr_kd.errors import DataError, MismatchError
from asr_kd.frames.store import FrameStore
from asr_kd.hmm.labels import DROPPED_FILE, META_FILE, PDFS_FILE, Labels, log_prior, match_labels, write_labels

MakeStore = Callable[..., FrameStore]


def made(directory: Path, store: FrameStore, *, states: str = "5" * 16, num_pdfs: int = 7) -> Labels:
    directory.mkdir()
    pdfs = np.arange(store.num_frames) % (num_pdfs + 1) - 1
    dropped = [("utt-001", "no transcript")]
    write_labels(directory, store, pdfs, num_pdfs=num_pdfs, states_fingerprint=states, dropped=dropped)
    return Labels.load(directory)


def test_labels_survive_their_files(tmp_path: Path, make_store: MakeStore) -> None:
    store = make_store([5, 4])
    labels = made(tmp_path / "ali", store)
    np.testing.assert_array_equal(labels.pdfs, [-1, 0, 1, 2, 3, 4, 5, 6, -1])
    assert labels.pdfs.dtype == np.int32
    assert (labels.num_pdfs, labels.states_fingerprint) == (7, "5" * 16)
    assert labels.meta["index_fingerprint"] == store.index_fingerprint
    assert (labels.meta["num_labelled"], labels.meta["num_dropped_utterances"]) == (7, 1)
    assert (tmp_path / "ali" / DROPPED_FILE).read_text() == "utt-001\tno transcript\n"


def test_the_same_labels_have_one_fingerprint_wherever_they_lie(tmp_path: Path, make_store: MakeStore) -> None:
    here, there = make_store([5, 4]), make_store([5, 4], seed=2)
    assert here.path != there.path
    labels = made(tmp_path / "ali", here)
    assert made(tmp_path / "same", there).fingerprint == labels.fingerprint
    others = [
        made(tmp_path / "frames", make_store([4, 5])),
        made(tmp_path / "states", here, states="6" * 16),
        made(tmp_path / "pdfs", here, num_pdfs=8),
    ]
    assert labels.fingerprint not in [other.fingerprint for other in others]


def test_each_store_gets_its_own_labels_in_whatever_order(tmp_path: Path, make_store: MakeStore) -> None:
    stores = [make_store([5]), make_store([6]), make_store([7])]
    last, first = made(tmp_path / "last", stores[2]), made(tmp_path / "first", stores[0])
    assert match_labels(stores, [last, first]) == [first, None, last]


def test_labels_of_other_frames_are_a_mismatch_that_names_both_sides(tmp_path: Path, make_store: MakeStore) -> None:
    old, new = make_store([5, 4]), make_store([5, 3])
    labels = made(tmp_path / "ali", old)
    with pytest.raises(MismatchError) as error:
        match_labels([new], [labels])
    for part in (str(labels.path), old.index_fingerprint, str(old.path), str(new.path), "run asr-kd align again"):
        assert part in str(error.value)


def test_labels_of_other_states_are_a_mismatch_that_names_both_sides(tmp_path: Path, make_store: MakeStore) -> None:
    stores = [make_store([5]), make_store([6])]
    one, other = made(tmp_path / "one", stores[0]), made(tmp_path / "other", stores[1], states="6" * 16)
    with pytest.raises(MismatchError) as error:
        match_labels(stores, [one, other])
    for part in (str(one.path), "5" * 16, str(other.path), "6" * 16):
        assert part in str(error.value)


def test_labels_that_are_not_as_many_as_the_frames_are_an_error(tmp_path: Path, make_store: MakeStore) -> None:
    store = make_store([5, 4])
    made(tmp_path / "ali", store)
    np.save(tmp_path / "ali" / PDFS_FILE, np.zeros(8, np.int32))
    with pytest.raises(DataError, match=str(tmp_path / "ali")):
        match_labels([store], [Labels.load(tmp_path / "ali")])


DAMAGES: dict[str, Callable[[Path], object]] = {
    "no labels": lambda path: (path / PDFS_FILE).unlink(),
    "no meta": lambda path: (path / META_FILE).unlink(),
    "labels empty": lambda path: (path / PDFS_FILE).write_bytes(b""),
    "labels cut off": lambda path: (path / PDFS_FILE).write_bytes((path / PDFS_FILE).read_bytes()[:-4]),
    "labels beyond the states": lambda path: np.save(path / PDFS_FILE, np.full(9, 7, np.int32)),
    "labels of another type": lambda path: np.save(path / PDFS_FILE, np.zeros(9)),
    "meta cut off": lambda path: (path / META_FILE).write_text((path / META_FILE).read_text()[:-9]),
    "meta without what it must say": lambda path: (path / META_FILE).write_text("{}"),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_directory_is_an_error_that_names_it(tmp_path: Path, make_store: MakeStore, damage: str) -> None:
    made(tmp_path / "ali", make_store([5, 4]))
    DAMAGES[damage](tmp_path / "ali")
    with pytest.raises(DataError, match=str(tmp_path / "ali")) as error:
        Labels.load(tmp_path / "ali")
    assert "\n" not in str(error.value)


def test_the_prior_is_each_states_part_of_the_labels() -> None:
    prior = log_prior([np.array([0, 0, 2, -1]), np.array([2, 2, 2, -1, -1])], num_pdfs=4)
    np.testing.assert_allclose(np.exp(prior), np.array([3, 1, 5, 1]) / 10, rtol=1e-6)
    assert prior.dtype == np.float32
