"""Texts of one sentence a line."""

import gzip
from pathlib import Path

import pytest

from asr_kd.errors import DataError
from asr_kd.lang.sentences import read_sentences


def test_a_text_reads_the_same_gzipped_or_not(tmp_path: Path) -> None:
    text = "\ufeffONE TWO\n\n  THREE \n".encode()
    (tmp_path / "plain").write_bytes(text)
    (tmp_path / "zipped").write_bytes(gzip.compress(text))
    found = [list(read_sentences(tmp_path / name)) for name in ("plain", "zipped")]
    assert found[0] == found[1] == [("ONE", "TWO"), ("THREE",)]


def test_utterance_ids_are_left_out_and_lines_of_an_id_alone_too(tmp_path: Path) -> None:
    path = tmp_path / "text"
    path.write_text("u1 ONE TWO\nu2\nu3 THREE\n")
    assert list(read_sentences(path, utterance_ids=True)) == [("ONE", "TWO"), ("THREE",)]


def test_a_file_that_cannot_be_read_is_an_error_with_its_line(tmp_path: Path) -> None:
    path = tmp_path / "text"
    with pytest.raises(DataError, match="text: no such file"):
        list(read_sentences(path))
    path.write_bytes(b"ONE\nT\xffO\n")
    with pytest.raises(DataError, match="text:2: not UTF-8"):
        list(read_sentences(path))
    path.write_bytes(gzip.compress(b"ONE TWO\n" * 1000)[:-20])
    with pytest.raises(DataError, match="truncated"):
        list(read_sentences(path))
