"""Ranks that torchrun starts train the network that one process trains, and carry on each other's runs."""

import json
import multiprocessing
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from tone_pipeline import TINY_NET, Pipeline
from training_problem import Problem

from asr_kd.cli.main import main
from asr_kd.errors import DataError, UsageError
from asr_kd.nets.acoustic_model import MODEL_FILE
from asr_kd.nets.device import DeviceOptions
from asr_kd.train.checkpoint import CHECKPOINT_FILE
from asr_kd.train.metrics import METRICS_FILE
from asr_kd.train.ranks import Ranks, joined

PROGRAM = "from asr_kd.cli.main import program; program()"
LIMIT_S = 600.0  # only against a hang
PRECISE = (*TINY_NET, "--dtype", "fp32", "--num-epochs", 3)  # as sums of parts differ in the last bits


@pytest.fixture
def program(tmp_path: Path) -> Path:
    """`asr-kd` of the package that the tests import, as torchrun starts it."""
    path = tmp_path / "asr-kd"
    path.write_text(f"#!{sys.executable}\n{PROGRAM}\n")
    path.chmod(0o755)
    return path


def torchrun(program: Path, size: int, words: list[str]) -> "subprocess.Popen[str]":
    """The command in as many ranks."""
    return subprocess.Popen(
        [
            *(sys.executable, "-m", "torch.distributed.run", "--no-python", "--standalone"),
            *("--nproc-per-node", str(size), str(program), *words),
        ],
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )


def command(pipeline: Pipeline, name: str, out: Path, *flags: object) -> list[str]:
    exp = pipeline.exp
    words = [name, *PRECISE, *flags, "--labels", exp / "ali/train", *pipeline.dev]
    if name == "distill":
        words += ["--soft-targets", exp / "soft/train", "--soft-weight", 0.9, "--hard-weight", 0.1]
    return [str(word) for word in (*words, "--", exp / "frames/train", out)]


def metrics(directory: Path) -> list[dict[str, float]]:
    return [json.loads(line) for line in (directory / METRICS_FILE).read_text().splitlines()]


def assert_same_run(ours: Path, alone: Path) -> None:
    """Weights and metrics but for rounding, and those that are of one rank's frames or of the clock."""
    found, expected = load_file(ours / MODEL_FILE), load_file(alone / MODEL_FILE)
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        torch.testing.assert_close(found[name], value, rtol=2e-3, atol=2e-4)
    for one, other in zip(metrics(ours), metrics(alone), strict=True):
        assert one.keys() == other.keys()
        for key in one:
            if key != "seconds" and not key.startswith("gradient_share"):
                assert one[key] == pytest.approx(other[key], rel=2e-3, abs=2e-3), key
        assert one["frames"] == other["frames"]


@pytest.fixture(scope="module")
def uneven(pipeline: Pipeline, tmp_path_factory: pytest.TempPathFactory) -> int:
    """A size of batches that leaves a single frame to an epoch's last step: all ranks but one have none of it."""
    out = tmp_path_factory.mktemp("counted") / "out"
    assert main(command(pipeline, "train", out, "--num-epochs", 1)) == 0
    frames = int(metrics(out)[0]["frames"])
    return next(size for size in range(100, frames) if frames % size == 1)


@pytest.mark.parametrize(
    ("name", "size", "flags"),
    [("train", 3, ("--schedule", "newbob", "--optimizer", "sgd", "--learning-rate", 0.1)), ("distill", 2, ())],
)
def test_several_ranks_train_the_network_of_one(
    pipeline: Pipeline, tmp_path: Path, program: Path, uneven: int, name: str, size: int, flags: tuple[object, ...]
) -> None:
    flags = (*flags, "--batch-size", uneven)
    assert main(command(pipeline, name, tmp_path / "alone", *flags)) == 0
    started = torchrun(program, size, command(pipeline, name, tmp_path / "ranks", *flags))
    said = started.communicate(timeout=LIMIT_S)[1]
    assert started.returncode == 0, said
    assert said.count(f"{size} ranks on cpu") == 1, "not said once"
    assert_same_run(tmp_path / "ranks", tmp_path / "alone")
    assert not (tmp_path / "ranks" / CHECKPOINT_FILE).exists() and not list(tmp_path.glob("*.lock"))
    # Done is done, for one process as well.
    made = (tmp_path / "ranks" / MODEL_FILE).stat().st_mtime_ns
    assert main(command(pipeline, name, tmp_path / "ranks", *flags)) == 0
    assert (tmp_path / "ranks" / MODEL_FILE).stat().st_mtime_ns == made


def test_one_process_carries_on_what_ranks_began(
    pipeline: Pipeline, tmp_path: Path, program: Path, caplog: pytest.LogCaptureFixture
) -> None:
    flags = ("--num-epochs", 8, "--batch-size", 32)
    started = torchrun(program, 2, command(pipeline, "train", tmp_path / "out", *flags, "--checkpoint-seconds", 0))
    wait_until(lambda: (tmp_path / "out.partial" / CHECKPOINT_FILE).exists(), started)
    started.send_signal(signal.SIGTERM)
    said = started.communicate(timeout=LIMIT_S)[1]
    assert started.returncode != 0 and not (tmp_path / "out").exists(), said
    with caplog.at_level("INFO", "asr_kd"):
        assert main(command(pipeline, "train", tmp_path / "out", *flags)) == 0
    assert re.search(r"carrying on after \d+ epochs and \d+ steps", caplog.text)
    assert main(command(pipeline, "train", tmp_path / "alone", *flags)) == 0
    assert_same_run(tmp_path / "out", tmp_path / "alone")


def test_a_rank_that_dies_ends_the_others_with_a_line(pipeline: Pipeline, tmp_path: Path, program: Path) -> None:
    """Without torchrun's help, which would stop them itself."""
    words = command(pipeline, "train", tmp_path / "out", "--checkpoint-seconds", 0, "--num-epochs", 500)
    where = {"WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free_port()), "OMP_NUM_THREADS": "1"}
    ranks = [
        subprocess.Popen(
            [str(program), *words], stderr=subprocess.PIPE, text=True, env=os.environ | where | {"RANK": str(rank)}
        )
        for rank in range(2)
    ]
    try:
        wait_until(lambda: (tmp_path / "out.partial" / CHECKPOINT_FILE).exists(), ranks[0])
        ranks[1].kill()
        said = ranks[0].communicate(timeout=LIMIT_S)[1]
    finally:
        for rank in ranks:
            rank.kill()
            rank.communicate()
    assert ranks[0].returncode == 1
    assert said.splitlines()[-1].startswith("asr-kd train: the ranks cannot go on together")
    assert "Traceback" not in said
    assert (tmp_path / "out.partial" / CHECKPOINT_FILE).exists()


def test_a_batch_with_fewer_frames_than_ranks_is_refused(pipeline: Pipeline, tmp_path: Path, program: Path) -> None:
    started = torchrun(program, 2, command(pipeline, "train", tmp_path / "out", "--batch-size", 1))
    said = started.communicate(timeout=LIMIT_S)[1]
    assert started.returncode != 0
    assert "2 ranks for batches of 1 frames" in said


def test_each_rank_takes_a_gpu_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 4)
    on_gpu = DeviceOptions(device="cuda")
    assert Ranks().own_device(on_gpu) == on_gpu
    assert Ranks(7, 8).own_device(DeviceOptions()) == DeviceOptions()
    with pytest.raises(UsageError, match="LOCAL_RANK is not set"):
        Ranks(7, 8).own_device(on_gpu)
    monkeypatch.setenv("LOCAL_RANK", "3")
    assert Ranks(7, 8).own_device(on_gpu).device == "cuda:3"
    with pytest.raises(UsageError, match="--device cuda:1"):
        Ranks(1, 2).own_device(DeviceOptions(device="cuda:1"))
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 3)
    with pytest.raises(UsageError, match="torch sees 3 GPUs"):
        Ranks(7, 8).own_device(on_gpu)


@pytest.mark.parametrize("parts", [(5, 1), (6, 0), (0, 1)])
def test_gradients_and_sums_are_those_of_all_frames(parts: tuple[int, int]) -> None:
    context, port = multiprocessing.get_context("spawn"), free_port()
    with context.Pool(2) as pool:
        found = pool.starmap(as_rank, [(rank, port, parts) for rank in range(2)], chunksize=1)
    net, inputs = net_and_inputs(sum(parts))
    (net(inputs).square().sum(dim=1).mean()).backward()
    for gradients, sums, told, said in found:
        for weight, gradient in zip(net.parameters(), gradients, strict=True):
            assert weight.grad is not None
            torch.testing.assert_close(torch.tensor(gradient), weight.grad)
        assert sums == {"frames": sum(parts), "sevens": 7 * sum(parts)}
        assert told == 10, "not what the first rank found"
        assert said == "the place differs from rank to rank (0, 1): all must see the same disk; start again"


def net_and_inputs(num_frames: int) -> tuple[torch.nn.Module, torch.Tensor]:
    torch.manual_seed(0)
    return torch.nn.Linear(3, 2), torch.randn(num_frames, 3)


def as_rank(rank: int, port: int, parts: tuple[int, int]) -> tuple[list[object], dict[str, float], int, str]:
    """One rank's gradients and sums, what it is told, and what it says of a place that is another for each."""
    where = {"RANK": rank, "WORLD_SIZE": 2, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
    os.environ |= {name: str(value) for name, value in where.items()}
    net, inputs = net_and_inputs(sum(parts))
    own = inputs[: parts[0]] if rank == 0 else inputs[parts[0] :]
    sums = {"frames": torch.tensor(float(len(own))), "sevens": torch.tensor(7.0 * len(own))}
    if len(own):
        net(own).square().sum(dim=1).mean().backward()
        sums = dict(reversed(sums.items()))  # after a checkpoint an empty part has them in another order
    else:
        for weight in net.parameters():
            weight.grad = torch.zeros_like(weight)
    with joined(DeviceOptions()) as ranks:
        found = ranks.combine(list(net.parameters()), sums)
        told = ranks.told_by_first(lambda: 10 + rank)
        with pytest.raises(DataError) as raised:
            ranks.check_same("the place", rank)
    gradients = [weight.grad.tolist() for weight in net.parameters() if weight.grad is not None]
    return gradients, {name: float(value) for name, value in found.items()}, told, str(raised.value)


def test_no_two_ranks_or_steps_draw_the_same(problem: Problem, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Ranks, "combine", lambda self, weights, sums: sums)
    monkeypatch.setattr(Ranks, "told_by_first", lambda self, find: find())
    monkeypatch.setattr(Ranks, "check_same", lambda self, what, found: None)
    seeds: list[int] = []

    def keep_seed(inputs_BW: torch.Tensor, *, seed: int) -> torch.Tensor:
        seeds.append(seed % 2**32)  # all that torch's generator on the CPU takes
        return inputs_BW

    for rank in range(3):
        problem.run(tmp_path / str(rank), transforms=[keep_seed], ranks=Ranks(rank, 3))
    assert len(seeds) == len(set(seeds)) == 3 * 3 * 5


def test_a_process_that_torchrun_did_not_start_is_alone() -> None:
    with joined(DeviceOptions()) as ranks:
        assert (ranks.rank, ranks.size) == (0, 1)


def wait_until(reached: Callable[[], bool], process: "subprocess.Popen[str]") -> None:
    begun = time.monotonic()
    while not reached():
        assert process.poll() is None, f"ended too early: {process.stderr and process.stderr.read()}"
        assert time.monotonic() - begun < LIMIT_S
        time.sleep(0.02)


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])
