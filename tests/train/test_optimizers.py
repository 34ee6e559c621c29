"""The optimisers are torch's, and training does without its compiler."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from tone_pipeline import TINY_NET, Pipeline
from torch import Tensor

from asr_kd.train.optimizers import SGD, AdamW, Optimizer

RATES = (0.1, 0.05, 0.02)

Pair = Callable[[list[Tensor], list[Tensor]], tuple[Optimizer, torch.optim.Optimizer]]
PAIRS: dict[str, Pair] = {
    "adam": lambda own, theirs: (
        AdamW(own, weight_decay=0.2),
        torch.optim.AdamW(theirs, weight_decay=0.2),
    ),
    "sgd": lambda own, theirs: (
        SGD(own, momentum=0.9, weight_decay=0.2),
        torch.optim.SGD(theirs, momentum=0.9, nesterov=True, weight_decay=0.2),
    ),
    "without momentum": lambda own, theirs: (
        SGD(own, momentum=0.0, weight_decay=0.2),
        torch.optim.SGD(theirs, momentum=0.0, weight_decay=0.2),
    ),
}


@pytest.mark.parametrize("name", PAIRS)
def test_they_step_as_torchs_do(name: str) -> None:
    generator = torch.Generator().manual_seed(1)
    start = [torch.randn(shape, generator=generator) for shape in ((5, 3), (5,))]
    own, theirs = ([torch.nn.Parameter(weight.clone()) for weight in start] for _ in range(2))
    optimizer, reference = PAIRS[name](own, theirs)
    for rate in RATES:
        for one, other in zip(own, theirs, strict=True):
            one.grad = torch.randn(one.shape, generator=generator)
            other.grad = one.grad.clone()
        optimizer.step(rate)
        reference.param_groups[0]["lr"] = rate
        reference.step()
    for one, other in zip(own, theirs, strict=True):
        torch.testing.assert_close(one, other)


@pytest.mark.parametrize("optimizer", ["adam", "sgd", "muon"])
def test_training_leaves_torchs_compiler_alone(pipeline: Pipeline, tmp_path: Path, optimizer: str) -> None:
    program = """
import sys
from asr_kd.cli.main import main
status = main(sys.argv[1:])
sys.exit(status or "torch._dynamo" in sys.modules)
"""
    given = [
        *TINY_NET,
        "--num-epochs=1",
        "--optimizer",
        optimizer,
        "--labels",
        pipeline.exp / "ali/train",
        *pipeline.dev,
    ]
    words = ["train", *given, "--", pipeline.exp / "frames/train", tmp_path / "out"]
    subprocess.run([sys.executable, "-c", program, *map(str, words)], check=True)
