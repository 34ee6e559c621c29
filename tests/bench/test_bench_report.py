"""Figures: verdicts, the table, JSON, and the page with a part for each machine."""

import json
import logging
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from asr_kd.bench.document import HOW_TO_READ, INTRODUCTION, NOT_RUN, write_document
from asr_kd.bench.figure import Figure, Goal, show
from asr_kd.bench.report import table, to_json
from asr_kd.bench.suite import BENCHMARKS, Results
from asr_kd.cli import bench
from asr_kd.cli.main import main
from asr_kd.errors import DataError

MACHINE = {
    "cpu": "a processor",
    "cpu_family": "family 1, model 2",
    "cores": 2,
    "flags": ["avx2"],
    "load": 0.5,
    "libraries": {"torch": "2"},
}
FIGURES = [
    Figure(key="speed", text="speed", value=6912.4, unit="frames/s"),
    Figure(key="vs_peer", text="over a peer", value=8.87, goal=Goal(8)),
    Figure(key="vs_other", text="over another", value=None, goal=Goal(4), note="another is not installed"),
    Figure(key="share", text="share of a step", value=0.0453, unit="%", goal=Goal(0.03, at_most=True)),
]
RESULTS = [Results("fbank", FIGURES), Results("loss", FIGURES[:1])]


@pytest.mark.parametrize(
    ("goal", "value", "verdict"),
    [
        (Goal(8), 8.0, "met"),
        (Goal(8), 7.3, "within noise"),
        (Goal(8), 7.1, "missed"),
        (Goal(0.5, at_most=True), 0.5, "met"),
        (Goal(0.5, at_most=True), 0.55, "within noise"),
        (Goal(0.5, at_most=True), 0.6, "missed"),
    ],
)
def test_a_goal_missed_by_no_more_than_a_tenth_is_noise(goal: Goal, value: float, verdict: str) -> None:
    assert goal.judge(value) == verdict


@pytest.mark.parametrize(
    ("value", "unit", "shown"),
    [
        (8.871, "x", "8.87x"),
        (22_627_921.0, "frames/s", "22,627,921 frames/s"),
        (0.8751, "%", "87.5 %"),
        (5.6e-4, "nats", "5.6e-04 nats"),
        (0.0, "nats", "0 nats"),
    ],
)
def test_a_value_is_shown_to_three_digits_with_its_unit(value: float, unit: str, shown: str) -> None:
    assert show(value, unit) == shown


def test_the_table_shows_every_figure_with_its_goal_and_why_one_is_missing() -> None:
    lines = table(RESULTS[0]).splitlines()
    assert lines[0] == "fbank: Filter banks" and len(lines) == 1 + len(FIGURES)
    assert " ".join(lines[2].split()) == "over a peer 8.87x at least 8x met"
    assert " ".join(lines[3].split()) == "over another another is not installed at least 4x not measured"
    assert lines[4].endswith("missed")


def test_json_has_a_key_for_every_figure_and_null_for_what_was_not_measured() -> None:
    found = json.loads(json.dumps(to_json(MACHINE, RESULTS)))
    assert found["machine"] == MACHINE
    assert found["fbank"] == {"speed": 6912.4, "vs_peer": 8.87, "vs_other": None, "share": 0.0453}
    assert found["loss"] == {"speed": 6912.4}


def test_the_page_has_the_machine_the_goals_and_every_figure(tmp_path: Path) -> None:
    page = tmp_path / "performance.md"
    write_document(page, MACHINE, RESULTS)
    text = page.read_text()
    assert text.startswith(INTRODUCTION) and text.endswith(HOW_TO_READ) and f"## On a GPU\n\n{NOT_RUN}" in text
    assert "a processor (family 1, model 2), 2 cores, avx2; torch 2." in text
    assert "| fbank | over a peer | at least 8x | 8.87x | met |" in text
    assert "| over another | not measured: another is not installed |" in text
    assert "| speed | 6,912 frames/s |" in text


def test_every_machine_has_a_part_that_only_its_own_runs_replace(tmp_path: Path) -> None:
    page = tmp_path / "performance.md"
    write_document(page, MACHINE, RESULTS)
    write_document(page, MACHINE | {"cpu": "another"}, RESULTS[1:])
    write_document(page, MACHINE | {"gpu": "a card"}, RESULTS[1:])
    text = page.read_text()
    assert re.findall("^## On .*", text, re.M) == [
        "## On a processor (family 1, model 2)",
        "## On another (family 1, model 2)",
        "## On a card",
    ]
    assert "Not run" not in text and "a card; host: a processor" in text
    assert text.count("| over another | not measured") == 1
    write_document(page, MACHINE, RESULTS)
    assert page.read_text() == text
    write_document(page, MACHINE, RESULTS[1:])
    assert page.read_text().count("| over another | not measured") == 0
    assert page.read_text().split("## On another")[1] == text.split("## On another")[1]


def test_the_command_runs_what_is_asked_for_in_the_order_of_the_list(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)
    asked: list[tuple[list[str], str]] = []

    def measured(names: list[str], device: str) -> list[Results]:
        asked.append((names, device))
        return [Results(name, FIGURES[:2]) for name in names]

    monkeypatch.setattr(bench, "describe_machine", lambda device: MACHINE)
    monkeypatch.setattr(bench, "run_benchmarks", measured)
    out, page = tmp_path / "bench.json", tmp_path / "page.md"
    assert main(["bench", "--only", "loss,fbank", "--json", str(out)]) == 0
    assert main(["bench", "--doc", str(page)]) == 0
    assert main(["bench", "--device", "cuda"]) == 0
    assert asked[0] == (["fbank", "loss"], "cpu")
    assert asked[1] == (list(BENCHMARKS), "cpu")
    assert "fbank" not in asked[2][0] and "step" in asked[2][0]
    assert list(json.loads(out.read_text())) == ["machine", "fbank", "loss"]
    assert "8.87x" in page.read_text()
    assert "loss: The sparse soft-target loss" in capsys.readouterr().out
    assert [line for line in caplog.messages if "left out" in line] == [
        "left out, for they measure the CPU alone: fbank, decode, memory"
    ]


def test_figures_outlive_a_benchmark_that_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def measured(names: list[str], device: str) -> Iterator[Results]:
        yield Results(names[0], FIGURES[:2])
        raise DataError(f"{names[1]} fails")

    monkeypatch.setattr(bench, "describe_machine", lambda device: MACHINE)
    monkeypatch.setattr(bench, "run_benchmarks", measured)
    out = tmp_path / "bench.json"
    assert main(["bench", "--only", "loss,fbank", "--json", str(out)]) == 1
    assert "loss fails" in capsys.readouterr().err
    assert json.loads(out.read_text())["fbank"]["vs_peer"] == 8.87


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--only", "fbnk"], "--only fbnk: no such benchmark, did you mean 'fbank'?"),
        (["--only", "decode", "--device", "cuda"], "nothing of it runs on --device cuda"),
        (["--only", "loss", "--device", "tpu"], "--device tpu: "),
        (["--only", "loss", "--doc", "no-such-page.md"], "not with --doc"),
    ],
)
def test_a_wrong_option_is_one_line(words: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", *words]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert said in line
