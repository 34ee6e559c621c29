"""MNIST's idx files: read as their format says, and refused where they are not MNIST's."""

import gzip
import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from asr_kd.corpus.mnist import load_mnist, read_idx
from asr_kd.errors import DataError


def idx(array: np.ndarray) -> bytes:
    """An idx file of bytes, as LeCun's page describes it."""
    sizes = b"".join(int(size).to_bytes(4, "big") for size in array.shape)
    return bytes([0, 0, 8, array.ndim]) + sizes + array.astype(np.uint8).tobytes()


def write_corpus(folder: Path, num_train: int = 20, num_test: int = 6, *, packed: bool = True) -> None:
    rng = np.random.default_rng(3)
    for part, count in (("train", num_train), ("t10k", num_test)):
        arrays = {"images-idx3": rng.integers(0, 256, (count, 28, 28)), "labels-idx1": np.arange(count) % 10}
        for name, array in arrays.items():
            content = idx(array)
            path = folder / f"{part}-{name}-ubyte"
            if packed:
                path.with_name(f"{path.name}.gz").write_bytes(gzip.compress(content))
            else:
                path.write_bytes(content)


@given(shape=st.lists(st.integers(0, 5), min_size=1, max_size=3), seed=st.integers(0, 9))
def test_an_idx_file_holds_what_was_written(shape: list[int], seed: int) -> None:
    array = np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)
    np.testing.assert_array_equal(read_idx(idx(array), "made"), array)


@pytest.mark.parametrize("packed", [True, False])
def test_packed_and_unpacked_files_are_read_alike(tmp_path: Path, packed: bool) -> None:
    write_corpus(tmp_path, packed=packed)
    train, test = load_mnist(tmp_path, checksums=None)
    assert (train.pixels.shape, test.pixels.shape) == ((20, 28, 28), (6, 28, 28))
    assert test.digits.tolist() == [0, 1, 2, 3, 4, 5]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"\x00\x00\x0d\x01\x00\x00\x00\x00", "not an idx file of bytes"),
        (idx(np.zeros((3, 28, 28)))[:-1], "expected 16 and 3 x 28 x 28"),
        (b"", "not an idx file"),
    ],
)
def test_a_file_of_another_kind_or_cut_short_is_refused(content: bytes, said: str) -> None:
    with pytest.raises(DataError, match=said):
        read_idx(content, "file")


def test_other_images_under_the_same_names_are_refused(tmp_path: Path) -> None:
    write_corpus(tmp_path)
    with pytest.raises(DataError, match=r"train-images-idx3-ubyte.gz: SHA-256 .* expected ba891046"):
        load_mnist(tmp_path)


def test_a_missing_and_a_damaged_file_are_named(tmp_path: Path) -> None:
    write_corpus(tmp_path)
    labels = tmp_path / "t10k-labels-idx1-ubyte.gz"
    labels.write_bytes(labels.read_bytes()[:-9])
    with pytest.raises(DataError, match=r"t10k-labels-idx1-ubyte\.gz: cannot unpack it"):
        load_mnist(tmp_path, checksums=None)
    labels.unlink()
    with pytest.raises(DataError, match=r"holds neither t10k-labels-idx1-ubyte\.gz nor t10k-labels-idx1-ubyte"):
        load_mnist(tmp_path, checksums=None)


def test_the_real_corpus_has_its_known_counts() -> None:
    folder = Path(os.environ.get("ASR_KD_CORPORA", "")) / "mnist"
    if not folder.is_dir():
        pytest.skip("ASR_KD_CORPORA names no folder with mnist")
    train, test = load_mnist(folder)
    assert np.bincount(train.digits).tolist() == [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]
    assert int((test.digits == 3).sum()) == 1010
