"""Programs that are killed, or told to stop, carry on from where they were, and end as if nothing had happened."""

import json
import logging
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from tone_pipeline import TINY_NET, Pipeline

from asr_kd.cli.main import main
from asr_kd.nets.acoustic_model import MODEL_FILE
from asr_kd.train.checkpoint import CHECKPOINT_FILE
from asr_kd.train.metrics import METRICS_FILE

PROGRAM = "from asr_kd.cli.main import program; program()"
LIMIT_S = 600.0  # only against a hang: a busy machine may take its time


@contextmanager
def running(words: list[str]) -> Iterator[subprocess.Popen[str]]:
    """The program in a process of its own, which is gone at the end."""
    # Where the tests run in the background the shell has SIGINT ignored, which a child would inherit.
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, *words],
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def wait_until(reached: Callable[[], bool], process: subprocess.Popen[str]) -> None:
    begun = time.monotonic()
    while not reached():
        assert process.poll() is None, f"ended too early: {process.stderr and process.stderr.read()}"
        assert time.monotonic() - begun < LIMIT_S
        time.sleep(0.02)


def within_an_epoch(directory: Path) -> bool:
    """Whether a run has saved where it stands in its second epoch or later, some steps after its start."""
    try:
        content = (directory / CHECKPOINT_FILE).read_bytes()
    except FileNotFoundError:
        return False
    # Read at once, as the file may be replaced at any time: 8 bytes of length, then a header in JSON.
    header = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])
    progress = json.loads(header["__metadata__"]["progress"])
    return bool(progress["epoch"] >= 1 and progress["batch"] >= 5)


def metrics(directory: Path) -> list[dict[str, float]]:
    """Metrics but for the time taken."""
    rows = [json.loads(line) for line in (directory / METRICS_FILE).read_text().splitlines()]
    return [{name: value for name, value in row.items() if name != "seconds"} for row in rows]


COMMANDS: dict[str, tuple[object, ...]] = {
    "train": ("train", *TINY_NET, "--dropout", 0.2, "--num-epochs", 5),
    "distill": (
        "distill",
        *TINY_NET,
        "--dropout",
        0.2,
        "--num-epochs",
        5,
        "--schedule",
        "newbob",
        "--optimizer",
        "sgd",
    ),
}


def command(pipeline: Pipeline, name: str, out: Path, *flags: object) -> list[str]:
    exp = pipeline.exp
    words = [*COMMANDS[name], *flags, "--labels", exp / "ali/train", *pipeline.dev]
    if name == "distill":
        words += ["--soft-targets", exp / "soft/train", "--soft-weight", 0.9, "--hard-weight", 0.1]
    return [str(word) for word in (*words, "--", exp / "frames/train", out)]


@pytest.fixture(scope="module")
def whole(pipeline: Pipeline, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Runs that were never interrupted."""
    root = tmp_path_factory.mktemp("whole")
    for name in COMMANDS:
        assert main(command(pipeline, name, root / name)) == 0
    return {name: root / name for name in COMMANDS}


@pytest.mark.parametrize(
    ("name", "how"), [("train", signal.SIGKILL), ("train", signal.SIGINT), ("distill", signal.SIGTERM)]
)
def test_a_run_that_was_stopped_carries_on_and_equals_one_that_was_not(
    pipeline: Pipeline,
    tmp_path: Path,
    whole: dict[str, Path],
    caplog: pytest.LogCaptureFixture,
    name: str,
    how: signal.Signals,
) -> None:
    out, partial = tmp_path / "out", tmp_path / "out.partial"
    with running(command(pipeline, name, out, "--checkpoint-seconds", 0)) as process:
        wait_until(lambda: within_an_epoch(partial), process)
        process.send_signal(how)
        said = process.communicate(timeout=LIMIT_S)[1]
    assert not out.exists()
    if how == signal.SIGKILL:
        assert process.returncode == -signal.SIGKILL
    else:
        assert process.returncode == 130
        assert said.splitlines()[-1] == f"asr-kd {name}: interrupted; the same command carries on from here"
        assert "Traceback" not in said
    with caplog.at_level(logging.INFO, "asr_kd"):
        assert main(command(pipeline, name, out)) == 0
    assert re.search(r"carrying on after [1-9]\d* epochs and [1-9]\d* steps", caplog.text)
    assert not partial.exists()
    assert (out / MODEL_FILE).read_bytes() == (whole[name] / MODEL_FILE).read_bytes()
    assert metrics(out) == metrics(whole[name])


def test_a_flat_start_that_was_killed_carries_on_with_the_round_it_was_in(pipeline: Pipeline, tmp_path: Path) -> None:
    exp, rounds = pipeline.exp, ("--num-rounds", 2, "--num-epochs", 2, "--settled", 0)
    flags = ("flat-start", *TINY_NET, *rounds, "--dropout", 0.1)
    data = (pipeline.tones / "data/train", exp / "lang", exp / "frames/train")
    assert main([str(word) for word in (*flags, *data, tmp_path / "whole")]) == 0
    partial = tmp_path / "out.partial"
    with running([str(word) for word in (*flags, "--checkpoint-seconds", 0, *data, tmp_path / "out")]) as process:
        wait_until(lambda: within_an_epoch(partial / "round-2"), process)
        process.kill()
    kept = (partial / "round-1/pdfs.npy").stat().st_mtime_ns
    assert main([str(word) for word in (*flags, *data, tmp_path / "out")]) == 0
    assert (tmp_path / "out/round-1/pdfs.npy").stat().st_mtime_ns == kept
    for file in (MODEL_FILE, "rounds.json", "round-2/pdfs.npy"):
        assert (tmp_path / "out" / file).read_bytes() == (tmp_path / "whole" / file).read_bytes()
