"""Archives are read in all their forms, and what is written is what kaldiio reads and Kaldi documents."""

import gzip
from pathlib import Path

import kaldiio
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from kaldi_files import binary_vectors, sized, sized_float, text_vectors

from asr_kd.errors import DataError
from asr_kd.kaldi.archives import (
    encode_integers,
    encode_matrix,
    encode_posterior,
    posterior_line,
    read_integer_archive,
    write_archive,
)

VECTORS = {"a-1": [3, 1, 2**31 - 1], "b": [7]}


@pytest.mark.parametrize("make", [binary_vectors, text_vectors], ids=["binary", "text"])
@pytest.mark.parametrize("zipped", [False, True], ids=["plain", "gzip"])
def test_an_archive_of_integers_is_read_in_every_form(tmp_path: Path, make: object, zipped: bool) -> None:
    content = make(VECTORS)  # type: ignore[operator]
    (tmp_path / "ali").write_bytes(gzip.compress(content) if zipped else content)
    assert {key: values.tolist() for key, values in read_integer_archive(tmp_path / "ali")} == VECTORS


def test_an_utterance_without_frames_is_read(tmp_path: Path) -> None:
    (tmp_path / "ali").write_bytes(binary_vectors({"a": [], "b": [1]}))
    assert [(key, values.tolist()) for key, values in read_integer_archive(tmp_path / "ali")] == [("a", []), ("b", [1])]


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (binary_vectors(VECTORS)[:-3], "'b' is cut off"),
        (gzip.compress(binary_vectors(VECTORS))[:-9], "damaged gzip file"),
        (gzip.compress(binary_vectors(VECTORS))[:10] + b"\xff" * 20, "damaged gzip file"),
        (binary_vectors({"a": [1]}) + b"b \0BFM ", "not a vector of int32"),
        (b"a 1 2\nb 3 x\n", "ali:2: expected '<utterance> <id> <id> ...'"),
    ],
    ids=["cut", "cut gzip", "not deflate", "another type", "not a number"],
)
def test_a_damaged_archive_is_an_error_that_says_where(tmp_path: Path, content: bytes, complaint: str) -> None:
    (tmp_path / "ali").write_bytes(content)
    with pytest.raises(DataError, match=complaint):
        list(read_integer_archive(tmp_path / "ali"))


@given(st.lists(st.lists(st.integers(-(2**31), 2**31 - 1), min_size=1), min_size=1, max_size=4))
@settings(max_examples=40)
def test_integers_go_to_kaldiio_and_back(tmp_path_factory: pytest.TempPathFactory, lists: list[list[int]]) -> None:
    folder = tmp_path_factory.mktemp("ark")
    vectors = {f"utt-{number}": np.array(values, np.int32) for number, values in enumerate(lists)}
    encoded = ((key, encode_integers(values)) for key, values in vectors.items())
    assert write_archive(folder, "ali", encoded, final=folder) == len(lists)
    theirs = kaldiio.load_scp(str(folder / "ali.scp"))
    ours = dict(read_integer_archive(folder / "ali.ark"))
    for key, values in vectors.items():
        assert np.array_equal(theirs[key], values)
        assert np.array_equal(ours[key], values)


def test_a_matrix_goes_to_kaldiio_and_back_and_a_compressed_one_nearly(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    matrices = {f"utt-{number}": rng.normal(size=(5 + number, 7)).astype(np.float32) for number in range(3)}
    for compress in (False, True):
        encoded = ((key, encode_matrix(matrix, compress=compress)) for key, matrix in matrices.items())
        write_archive(tmp_path, f"loglikes-{compress}", encoded, final=tmp_path)
        theirs = kaldiio.load_scp(str(tmp_path / f"loglikes-{compress}.scp"))
        for key, matrix in matrices.items():
            step = np.ptp(matrix) / 65535 if compress else 0.0
            assert np.abs(theirs[key] - matrix).max() <= 1.01 * step
    whole, short = ((tmp_path / f"loglikes-{compress}.ark").stat().st_size for compress in (False, True))
    assert short < whole


def test_a_posterior_is_laid_out_as_kaldi_documents() -> None:
    counts, ids, weights = np.array([2, 0, 1]), np.array([4, 9, 1]), np.array([0.75, 0.25, 1.0])
    first = sized(2) + sized(4) + sized_float(0.75) + sized(9) + sized_float(0.25)
    assert encode_posterior(counts, ids, weights) == b"\0B" + sized(3) + first + sized(0) + (
        sized(1) + sized(1) + sized_float(1.0)
    )
    assert posterior_line("utt", counts, ids, weights) == "utt [ 4 0.75 9 0.25 ] [ ] [ 1 1 ] \n"
