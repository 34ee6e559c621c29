"""A command with nothing to do is known before it is imported; any change sends it the long way."""

import json
from pathlib import Path

import pytest

from asr_kd import shortcut


@pytest.fixture
def words(tmp_path: Path) -> list[str]:
    """A command line whose output is there and carries its record."""
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "text").write_text("a ONE\n")
    (tmp_path / "frames").mkdir()
    (tmp_path / "frames" / "run.json").write_text("{}")
    (tmp_path / "fbank.conf").write_text("--num-mel-bins=40\n")
    out = tmp_path / "out"
    out.mkdir()
    named = ["data", "frames"]
    words = ["make-x", f"--config={tmp_path / 'fbank.conf'}", *(str(tmp_path / name) for name in named), str(out)]
    (out / "run.json").write_text(json.dumps({shortcut.KEY: shortcut.record(words)}))
    return words


def test_the_same_words_from_unchanged_inputs_are_done(words: list[str]) -> None:
    assert shortcut.is_done(words)


@pytest.mark.parametrize("changed", ["data/text", "frames/run.json", "fbank.conf"])
def test_a_changed_input_is_not_done(words: list[str], changed: str, tmp_path: Path) -> None:
    (tmp_path / changed).write_text("other")
    assert not shortcut.is_done(words)


def test_other_words_are_not_done(words: list[str]) -> None:
    assert not shortcut.is_done([words[0], "--nj=2", *words[1:]])
    assert not shortcut.is_done(["make-y", *words[1:]])


def test_an_output_that_is_missing_or_without_record_is_not_done(words: list[str], tmp_path: Path) -> None:
    assert not shortcut.is_done([*words[:-1], str(tmp_path / "elsewhere")])
    assert not shortcut.is_done([])
    (tmp_path / "out" / "run.json").write_text("{}")
    assert not shortcut.is_done(words)


def test_a_changed_file_that_the_conf_file_names_is_not_done(words: list[str], tmp_path: Path) -> None:
    arpa = tmp_path / "lm.arpa"
    arpa.write_text("before")
    (tmp_path / "fbank.conf").write_text(f"--arpa={arpa}\n")
    (tmp_path / "out" / "run.json").write_text(json.dumps({shortcut.KEY: shortcut.record(words)}))
    assert shortcut.is_done(words)
    arpa.write_text("after")
    assert not shortcut.is_done(words)


def test_data_whose_audio_was_made_anew_is_not_done(words: list[str], tmp_path: Path) -> None:
    (tmp_path / "run.json").write_text("the record of the command that made data/ with its audio")
    assert not shortcut.is_done(words)


def test_a_word_too_long_for_a_file_is_none() -> None:
    assert shortcut.record(["score", "--command", "x" * 5000, "out"])["named"] == {}
