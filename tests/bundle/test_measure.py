"""The report's errors are those of decoding, its sizes those of the files; a bundle does not differ from itself."""

import json
import shutil
from pathlib import Path

import pytest
from tone_pipeline import Pipeline

from asr_kd.bundle.measure import as_json, measure
from asr_kd.cli import bundle_report
from asr_kd.corpus.data_dir import load_data_dir
from asr_kd.options import parse
from asr_kd.score.wer import align_words, count_words


def report(*words: object) -> None:
    bundle_report.run(parse(bundle_report.Options, list(map(str, words)), command="bundle-report", description=""))


def test_errors_are_those_of_decode(pipeline: Pipeline) -> None:
    rows = {
        name: {line.split()[0]: line.split()[1:] for line in (decoded / name).read_text().splitlines()}
        for decoded in [pipeline.exp / "decode/distilled-1"]
        for name in ("hyp.txt", "ref.txt")
    }
    expected = count_words(list(align_words(rows["ref.txt"], rows["hyp.txt"]).values()))
    bundle = pipeline.exp / "bundle"
    found = measure(bundle, load_data_dir(pipeline.tones / "data/test"), stream=True)
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
    found = measure(pipeline.exp / "bundle", load_data_dir(pipeline.tones / "data/test"), stream=False)
    first, second = as_json([found, found], num_samples=200, seed=1)
    assert first == second
    assert second["wer_difference"] == 0
    assert list(second["wer_difference_ci"]) == [0, 0]
    assert second["stream_wer"] is None


def test_the_report_is_written_printed_and_made_once(
    pipeline: Pipeline, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(pipeline.exp / "bundle", tmp_path / "copy")
    words = ("--data", pipeline.tones / "data/test", "--", pipeline.exp / "bundle", tmp_path / "copy", tmp_path / "out")
    capsys.readouterr()
    report(*words)
    printed = capsys.readouterr().out
    made = (tmp_path / "out/bundles.json").stat().st_mtime_ns
    report(*words)
    assert capsys.readouterr().out == printed == (tmp_path / "out/BUNDLES.md").read_text()
    assert (tmp_path / "out/bundles.json").stat().st_mtime_ns == made
    rows = json.loads((tmp_path / "out/bundles.json").read_text())
    assert [Path(row["bundle"]).name for row in rows] == ["bundle", "copy"]
    assert all(f"{100 * row['wer']:.2f}" in printed for row in rows)
