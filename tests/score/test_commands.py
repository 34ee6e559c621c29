"""`asr-kd score` from the command line."""

import json
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from asr_kd.cli.main import main

Make = Callable[..., Path]


def run_score(*words: object) -> int:
    return main(["score", *map(str, words), "--recipe", "digits", "--bootstrap-samples", "300"])


def test_score_writes_every_file_and_prints_the_table(
    make_experiment: Make, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    experiment, out = make_experiment("exp"), tmp_path / "out"
    assert run_score(experiment, out) == 0
    results = json.loads((out / "results.json").read_text())
    assert results["corpus"]["train_hours"] == pytest.approx(1.5)
    assert results["corpus"]["test_utterances"] == 200
    assert results["seconds"] == {"decode": 5.0}
    assert {p.name for p in (out / "distilled-2").iterdir()} == {
        "wer",
        "alignments.txt",
        "confusions.tsv",
        "words.tsv",
        "ref.trn",
        "hyp.trn",
    }
    assert {"RESULTS.md", "speakers.tsv", "table.png", "training.png", "run.json"} <= {p.name for p in out.iterdir()}
    printed = capsys.readouterr().out
    assert f"{100 * results['systems'][1]['wer']:.2f}" in printed
    assert "gain kept by distilled" in printed


def test_score_again_does_nothing_and_prints_the_same(
    make_experiment: Make, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    experiment, out = make_experiment("exp"), tmp_path / "out"
    assert run_score(experiment, out) == 0
    first, written = capsys.readouterr().out, (out / "results.json").stat().st_mtime_ns
    assert run_score(experiment, out) == 0
    assert capsys.readouterr().out == first
    assert (out / "results.json").stat().st_mtime_ns == written


def test_a_system_decoded_later_is_scored_too(make_experiment: Make, tmp_path: Path) -> None:
    experiment, out = make_experiment("exp"), tmp_path / "out"
    shutil.move(experiment / "decode/distilled-2", tmp_path / "later")
    assert run_score(experiment, out) == 0
    shutil.move(tmp_path / "later", experiment / "decode/distilled-2")
    assert run_score(experiment, out) == 0
    systems = json.loads((out / "results.json").read_text())["systems"]
    assert {system["name"]: system["seeds"] for system in systems}["distilled"] == 2


@pytest.mark.skipif(shutil.which("sctk") is None, reason="NIST's program `sctk` is not installed")
def test_the_trn_files_give_sclite_the_same_total(make_experiment: Make, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert run_score(make_experiment("exp"), out) == 0
    command = "sctk sclite -r ref.trn trn -h hyp.trn trn -i rm -o rsum stdout"
    report = subprocess.run(command.split(), cwd=out / "ensemble-1", capture_output=True, text=True, check=True).stdout
    (line,) = re.findall(r"\| Sum .*", report)
    numbers = [int(n) for n in re.findall(r"\d+", line)]
    ours = re.search(r"%WER \S+ \[ (\d+) / (\d+)", (out / "ensemble-1/wer").read_text())
    assert ours
    assert (numbers[1], numbers[6]) == (int(ours[2]), int(ours[1]))


def test_folds_are_pooled(make_experiment: Make, tmp_path: Path) -> None:
    folds = make_experiment("one", num_utterances=30), make_experiment("two", speakers=("carl",), num_utterances=20)
    assert run_score(*folds, tmp_path / "out") == 0
    results = json.loads((tmp_path / "out/results.json").read_text())
    assert results["folds"] == 2
    assert results["corpus"]["test_utterances"] == 50
    assert results["corpus"]["test_speakers"] == 3


@pytest.mark.parametrize("words", [["score", "x"], ["compare", "x", "y", "--samples", "5"], ["compare", "x"]])
def test_wrong_usage_exits_with_2(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(words) == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_a_missing_experiment_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_score(tmp_path / "none", tmp_path / "out") == 1
    assert "run asr-kd decode first" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_a_page_is_of_results_of_score_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "results.json").write_text('{"recipe": "digits", "systems": []}')
    assert main(["report", str(tmp_path / "results.json"), str(tmp_path / "RESULTS.md")]) == 1
    assert "results.json: not a results.json of asr-kd score; leave it out" in capsys.readouterr().err
    assert not (tmp_path / "RESULTS.md").exists()


def test_a_results_json_is_never_written_over_with_a_page(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("official.json", "held-out.json"):
        (tmp_path / name).write_text('{"systems": []}')
    assert main(["report", str(tmp_path / "official.json"), str(tmp_path / "held-out.json")]) == 2
    assert "the page to write comes last and is no .json file" in capsys.readouterr().err
    assert (tmp_path / "held-out.json").read_text() == '{"systems": []}'
