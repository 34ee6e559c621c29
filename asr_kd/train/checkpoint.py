"""Checkpoints from which an interrupted run carries on exactly: tensors in safetensors, the rest as JSON."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from asr_kd.errors import DataError
from asr_kd.stage import replacing
from asr_kd.train.optimizers import Optimizer

CHECKPOINT_FILE = "checkpoint.safetensors"
GROUP_FOLDER = "group"  # of members that are trained together, in the first one's directory
DONE_GROUP_FOLDER = "group.done"  # the same while it is removed


@dataclass
class Progress:
    """Where a run stands.

    Args:
        epoch: epochs done.
        batch: batches done of the epoch under way.
        best: lowest cross-entropy of the dev set so far (newbob), or share of its frames wrong (early stopping).
        looks_since_best: looks at the dev set since then.
        gradient_shares: each loss's, at the start of the epoch under way.
    """

    epoch: int = 0
    batch: int = 0
    lr_factor: float = 1.0
    best: float = float("inf")
    halvings: int = 0
    looks_since_best: int = 0
    seconds: float = 0.0
    gradient_shares: dict[str, float] = field(default_factory=dict)


def save(
    directory: Path,
    progress: Progress,
    net: nn.Module,
    optimizers: Sequence[Optimizer],
    extra: dict[str, Tensor],
) -> None:
    """Write the checkpoint, whole or not at all.

    Args:
        extra: further tensors to keep, such as an epoch's running sums or the best weights.
    """
    tensors = {f"net.{name}": value for name, value in net.state_dict().items()}
    for first, optimizer in _numbered(optimizers):
        for number, state in enumerate(optimizer.state, start=first):
            tensors |= {f"optimizer.{number}.{key}": value for key, value in state.items()}
    tensors |= {f"extra.{name}": value for name, value in extra.items()}
    plain = {name: value.detach().cpu().contiguous().clone() for name, value in tensors.items()}
    with replacing(directory / CHECKPOINT_FILE) as temporary:
        save_file(plain, temporary, metadata={"progress": json.dumps(asdict(progress))})


def load(directory: Path, net: nn.Module, optimizers: Sequence[Optimizer]) -> tuple[Progress, dict[str, Tensor]] | None:
    """Put a checkpoint's state into net and optimisers; None where there is no checkpoint.

    Raises:
        DataError: the file is damaged.
    """
    path = directory / CHECKPOINT_FILE
    if not path.exists():
        return None
    try:
        with safe_open(path, framework="pt") as file:
            progress = Progress(**json.loads((file.metadata() or {})["progress"]))
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        net.load_state_dict({k.removeprefix("net."): v for k, v in tensors.items() if k.startswith("net.")})
    except (SafetensorError, KeyError, ValueError, TypeError, RuntimeError) as error:
        reason = str(error).replace("\n", " ")
        raise DataError(f"{path}: damaged ({reason}); remove {directory} to start anew") from error
    for first, optimizer in _numbered(optimizers):
        for number, (weight, state) in enumerate(zip(optimizer.weights, optimizer.state, strict=True), start=first):
            own = f"optimizer.{number}."
            state |= {k.removeprefix(own): v.to(weight.device) for k, v in tensors.items() if k.startswith(own)}
    return progress, {k.removeprefix("extra."): v for k, v in tensors.items() if k.startswith("extra.")}


def _numbered(optimizers: Sequence[Optimizer]) -> Iterator[tuple[int, Optimizer]]:
    """Each optimiser with the number of its first weight, those of all counted through."""
    first = 0
    for optimizer in optimizers:
        yield first, optimizer
        first += len(optimizer.weights)
