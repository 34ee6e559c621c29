"""The report's errors are those of decoding, its sizes those of the files; a bundle does not differ from itself."""

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile
from tone_pipeline import RATE, Pipeline

from asr_kd.bundle.measure import as_json, measure
from asr_kd.cli.main import main
from asr_kd.corpus.audio import AudioOptions
from asr_kd.corpus.data_dir import Utterance, load_data_dir, write_data_dir
from asr_kd.corpus.wav import write_wav
from asr_kd.score.wer import align_words, count_words


def test_errors_are_those_of_decode(pipeline: Pipeline) -> None:
    rows = {
        name: {line.split()[0]: line.split()[1:] for line in (decoded / name).read_text().splitlines()}
        for decoded in [pipeline.exp / "decode/distilled-1"]
        for name in ("hyp.txt", "ref.txt")
    }
    expected = count_words(list(align_words(rows["ref.txt"], rows["hyp.txt"]).values()))
    bundle = pipeline.exp / "bundle"
    found = measure(bundle, load_data_dir(pipeline.tones / "data/test"), AudioOptions(), stream=True)
    assert found.counts.errors.tolist() == expected.errors.tolist()
    assert found.streamed is not None
    assert found.streamed.counts.ref_words.sum() == expected.ref_words.sum()
    assert found.streamed.whole > 0
    assert found.streamed.whole_differ == 0
    assert found.weights_mb == pytest.approx((bundle / "model.safetensors").stat().st_size / 1e6)
    assert found.weights_mb + found.graph_mb < found.all_mb
    assert found.network_rtf > 0
    assert found.search_rtf > 0


def test_a_bundle_does_not_differ_from_itself(pipeline: Pipeline) -> None:
    found = measure(pipeline.exp / "bundle", load_data_dir(pipeline.tones / "data/test"), AudioOptions(), stream=False)
    first, second = as_json([found, found], num_samples=200, seed=1)
    assert first == second
    assert second["wer_difference"] == 0
    assert list(second["wer_difference_ci"]) == [0, 0]
    assert second["stream_wer"] is None


def test_the_report_is_made_once_and_printed_every_time(
    pipeline: Pipeline, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(pipeline.exp / "bundle", tmp_path / "copy")
    data = pipeline.tones / "data/test"
    words = ["bundle-report", "--data", data, "--", pipeline.exp / "bundle", tmp_path / "copy", tmp_path / "out"]
    capsys.readouterr()
    assert main([str(word) for word in words]) == 0
    printed = capsys.readouterr().out
    made = (tmp_path / "out/bundles.json").stat().st_mtime_ns
    assert main([str(word) for word in words]) == 0
    assert capsys.readouterr().out == printed == (tmp_path / "out/BUNDLES.md").read_text()
    assert (tmp_path / "out/bundles.json").stat().st_mtime_ns == made
    rows = json.loads((tmp_path / "out/bundles.json").read_text())
    assert [Path(row["bundle"]).name for row in rows] == ["bundle", "copy"]
    assert all(f"{100 * row['wer']:.2f}" in printed for row in rows)


def test_what_is_too_short_for_a_frame_has_no_words(pipeline: Pipeline, tmp_path: Path) -> None:
    data, (first, *_) = odd_data(pipeline, tmp_path)
    write_wav(Path(first.audio), np.zeros(30, np.float32), RATE)
    found = measure(pipeline.exp / "bundle", load_data_dir(data), AudioOptions(), stream=True)
    assert found.counts.dele[0] == len(first.words or ())
    assert found.streamed is not None
    assert found.streamed.counts.errors.tolist() == found.counts.errors.tolist()


@pytest.mark.parametrize(
    "command", [("bundle-report",), ("export-onnx", "--int8")], ids=["bundle-report", "export-onnx"]
)
def test_audio_is_read_as_for_training(
    pipeline: Pipeline, tmp_path: Path, complaint: Callable[[], str], command: tuple[str, ...]
) -> None:
    """Commands run, and channels are mixed, only where that is asked for."""
    data, (first, *_) = odd_data(pipeline, tmp_path)
    words = [*command, "--data", str(data), "--", str(pipeline.exp / "bundle"), str(tmp_path / "out")]
    stereo = np.stack([soundfile.read(first.audio)[0]] * 2, axis=1)
    soundfile.write(first.audio, stereo, RATE)
    assert main(words) == 1
    assert "--channel mix" in complaint()
    ran = tmp_path / "ran"
    wavs = (data / "wav.scp").read_text()
    (data / "wav.scp").write_text(wavs.replace(f" {first.audio}", f" touch {ran}; cat {first.audio} |"))
    assert main([words[0], "--channel", "mix", *words[1:]]) == 1
    assert "--allow-commands" in complaint()
    assert not ran.exists()
    assert main([words[0], "--channel", "mix", "--allow-commands", *words[1:]]) == 0
    assert ran.exists()


def odd_data(pipeline: Pipeline, folder: Path) -> tuple[Path, list[Utterance]]:
    """A few test utterances, with audio of their own that can be changed."""
    utterances = []
    for utterance in load_data_dir(pipeline.tones / "data/test")[:3]:
        audio = folder / f"{utterance.id}.wav"
        shutil.copyfile(utterance.audio, audio)
        utterances.append(replace(utterance, audio=str(audio)))
    (folder / "data").mkdir()
    write_data_dir(folder / "data", utterances)
    return folder / "data", utterances
