"""The command hears files, directories, standard input and a live stream; a bad file does not stop the others."""

import io
import shutil
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import soundfile
from tone_pipeline import RATE, Pipeline

from asr_kd.bundle.recognizer import Recognizer
from asr_kd.cli.main import main
from asr_kd.corpus.data_dir import load_data_dir

Captured = pytest.CaptureFixture[str]


@pytest.fixture
def folder(pipeline: Pipeline, tmp_path: Path) -> Path:
    """Three recordings, two of them in a folder below, and a file that is no audio."""
    audio = [Path(utterance.audio) for utterance in load_data_dir(pipeline.tones / "data/test")[:3]]
    (tmp_path / "calls/day 1").mkdir(parents=True)
    shutil.copy(audio[0], tmp_path / "calls/z.wav")
    shutil.copy(audio[1], tmp_path / "calls/day 1/b.wav")
    samples, _ = soundfile.read(audio[2], dtype="int16")
    soundfile.write(tmp_path / "calls/day 1/a.FLAC", samples, RATE, format="FLAC")
    (tmp_path / "calls/notes.txt").write_text("no audio")
    return tmp_path / "calls"


def heard_from(monkeypatch: pytest.MonkeyPatch, data: bytes) -> None:
    """Give the command these bytes on standard input."""
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BufferedReader(io.BytesIO(data))))


def lines(captured: Captured, *words: object) -> list[str]:
    captured.readouterr()
    assert main(["recognize", *map(str, words)]) == 0
    return captured.readouterr().out.splitlines()


def test_a_directory_is_searched_for_audio_in_order(pipeline: Pipeline, folder: Path, capsys: Captured) -> None:
    bundle = pipeline.exp / "bundle"
    recognizer = Recognizer(bundle)
    files = {"day_1-a": "day 1/a.FLAC", "day_1-b": "day 1/b.wav", "z": "z.wav"}
    expected = [" ".join((name, *recognizer.recognize(folder / file).words)) for name, file in files.items()]
    assert lines(capsys, bundle, folder) == expected


def test_a_directory_without_audio_is_an_error(pipeline: Pipeline, tmp_path: Path, capsys: Captured) -> None:
    assert main(["recognize", str(pipeline.exp / "bundle"), str(tmp_path)]) == 1
    assert "no audio files in this directory" in capsys.readouterr().err


def test_two_recordings_of_one_name_are_refused(pipeline: Pipeline, folder: Path, capsys: Captured) -> None:
    shutil.copy(folder / "z.wav", folder / "day 1/z.wav")
    files = [str(folder / "z.wav"), str(folder / "day 1/z.wav")]
    assert main(["recognize", str(pipeline.exp / "bundle"), *files]) == 2
    assert "would both be called 'z'" in capsys.readouterr().err


def test_standard_input_is_one_recording(
    pipeline: Pipeline, folder: Path, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    bundle = pipeline.exp / "bundle"
    heard_from(monkeypatch, (folder / "day 1/a.FLAC").read_bytes())
    assert lines(capsys, bundle, "-") == [
        " ".join(("stdin", *Recognizer(bundle).recognize(folder / "day 1/a.FLAC").words))
    ]


def test_a_bad_file_does_not_stop_the_others(pipeline: Pipeline, folder: Path, capsys: Captured) -> None:
    bundle = pipeline.exp / "bundle"
    (folder / "broken.wav").write_bytes(b"RIFF")
    capsys.readouterr()
    assert main(["recognize", str(bundle), str(folder)]) == 1
    captured = capsys.readouterr()
    assert [line.split()[0] for line in captured.out.splitlines()] == ["day_1-a", "day_1-b", "z"]
    assert "1 of 4 recordings could not be recognised" in captured.err.splitlines()[-1]
    assert "broken.wav" in captured.err.splitlines()[-1]


def test_a_stream_prints_what_files_heard_online_do(
    pipeline: Pipeline, folder: Path, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    bundle = pipeline.exp / "bundle"
    noise = (0.01 * 32768 * np.random.default_rng(0).standard_normal(12_000)).astype("<i2")
    parts = [soundfile.read(file, dtype="int16")[0] for file in (folder / "z.wav", folder / "day 1/b.wav")]
    samples = np.concatenate([parts[0], noise, parts[1]])
    soundfile.write(folder / "stream.wav", samples, RATE)
    from_file = lines(capsys, "--online", bundle, folder / "stream.wav")
    heard_from(monkeypatch, samples.astype("<i2").tobytes() + b"\x00")
    assert lines(capsys, bundle, "--stream") == from_file
    assert len(from_file) == 2
    assert from_file[0].startswith("stream-0000000-")


def test_partial_results_and_the_latency_go_to_standard_error(
    pipeline: Pipeline, folder: Path, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    heard_from(monkeypatch, soundfile.read(folder / "z.wav", dtype="int16")[0].tobytes())
    capsys.readouterr()
    assert main(["recognize", str(pipeline.exp / "bundle"), "--stream", "--chunk-ms", "50"]) == 0
    captured = capsys.readouterr()
    assert sum(line.startswith("... ") for line in captured.err.splitlines()) >= 2
    assert len(captured.out.splitlines()) == 1


def test_ctrl_c_ends_the_stream_and_prints_what_was_heard(
    pipeline: Pipeline, folder: Path, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = [soundfile.read(folder / "z.wav", dtype="int16")[0].tobytes()]

    def read1(_: int) -> bytes:
        if data:
            return data.pop()
        raise KeyboardInterrupt

    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=SimpleNamespace(read1=read1), close=lambda: None))
    expected = Recognizer(pipeline.exp / "bundle").recognize(folder / "z.wav").words
    assert [line.split()[1:] for line in lines(capsys, pipeline.exp / "bundle", "--stream")] == [list(expected)]


@pytest.mark.parametrize("words", [[], ["--stream", "call.wav"]])
def test_what_to_hear_is_said_once(pipeline: Pipeline, words: list[str]) -> None:
    assert main(["recognize", *words[:1], str(pipeline.exp / "bundle"), *words[1:]]) == 2
