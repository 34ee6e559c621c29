"""The losses of training, forward and backward, next to torch's: sparse soft targets, and hard ones.

The limit is to read every logit from memory once and to write as many gradients there.

Legend: B frames of a batch, P pdfs, K kept of a frame.
"""

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor
from torch.nn import functional

from asr_kd.bench.clock import LEAST_SECONDS, interleave, stopwatch_of
from asr_kd.bench.figure import Figure, Goal
from asr_kd.distill.soft_loss import dense_soft_loss, sparse_soft_loss
from asr_kd.train.frame_set import Batch
from asr_kd.train.objective import HardTargets

TEMPERATURE = 2.0
KEPT = 24  # of a frame: the 8 largest and 16 from the tail
OURS, HARD, DENSE, KL, AUTOGRAD = "ours", "hard cross-entropy", "dense soft targets", "kl_div", "sparse by autograd"
OUR_HARD, LIMIT = "our hard cross-entropy", "the logits copied once"
KEYS = {HARD: "vs_hard", DENSE: "vs_dense", KL: "vs_kl_div", AUTOGRAD: "vs_autograd"}


def measure(
    *,
    device: str = "cpu",
    batch_size: int = 1024,
    inventories: tuple[int, ...] = (14_000, 500, 128),
    rounds: int = 11,
    least_seconds: float = LEAST_SECONDS,
) -> list[Figure]:
    """Time over each peer's, for many classes and for few, down to where dense targets are faster."""
    place = torch.device(device)
    figures = []
    for number, num_pdfs in enumerate(inventories):
        variants = _variants(batch_size, num_pdfs, place)
        run = interleave(variants, rounds=rounds, stopwatch=stopwatch_of(place), least_seconds=least_seconds)
        text = f"B = {batch_size:,}, {num_pdfs:,} classes"
        figures += [
            Figure(key=f"{num_pdfs}_ms", text=f"{text}: time", value=1000 * run.median(OURS), unit="ms"),
            Figure(
                key=f"{num_pdfs}_of_limit",
                text=f"{text}: of the limit ({LIMIT})",
                value=run.ratio(LIMIT, OURS),
                unit="%",
            ),
        ]
        figures += [
            Figure(
                key=f"{num_pdfs}_{key}",
                text=f"{text}: time over that of {peer}",
                value=run.ratio(OURS, peer),
                goal=Goal(0.5, at_most=True) if peer == HARD and number == 0 else None,
            )
            for peer, key in KEYS.items()
        ]
        text, ratio = f"{text}: time of our hard cross-entropy over that of torch's", run.ratio(OUR_HARD, HARD)
        figures.append(Figure(key=f"{num_pdfs}_hard_vs_torch", text=text, value=ratio))
    return figures


def _variants(batch_size: int, num_pdfs: int, device: torch.device) -> dict[str, Callable[[], object]]:
    generator = torch.Generator().manual_seed(0)
    logits_BP = torch.randn(batch_size, num_pdfs, generator=generator).mul_(3).to(device).requires_grad_()
    probs_BP = torch.softmax(torch.randn(batch_size, num_pdfs, generator=generator).mul_(3), dim=1).to(device)
    top_BK, ids_BK = probs_BP.topk(KEPT, dim=1)
    top_BK = top_BK / top_BK.sum(dim=1, keepdim=True)
    labels_B = ids_BK[:, 0].contiguous()
    hard, batch = HardTargets(labels_B), Batch(torch.arange(batch_size, device=device), logits_BP)
    losses: dict[str, Callable[[], Tensor]] = {
        OURS: lambda: sparse_soft_loss(logits_BP, ids_BK, top_BK, TEMPERATURE),
        HARD: lambda: functional.cross_entropy(logits_BP, labels_B),
        OUR_HARD: lambda: hard.losses(logits_BP, batch)["hard"],
        DENSE: lambda: dense_soft_loss(logits_BP, probs_BP, TEMPERATURE),
        KL: lambda: _kl_div(logits_BP, probs_BP),
        AUTOGRAD: lambda: _by_autograd(logits_BP, ids_BK, top_BK),
    }
    variants: dict[str, Callable[[], object]] = {
        name: partial(_forward_and_backward, loss, logits_BP) for name, loss in losses.items()
    }
    given_BP, made_BP = logits_BP.detach(), torch.empty_like(logits_BP)
    return variants | {LIMIT: lambda: made_BP.copy_(given_BP)}


def _forward_and_backward(loss: Callable[[], Tensor], logits_BP: Tensor) -> Tensor:
    return torch.autograd.grad(loss(), logits_BP)[0]


def _kl_div(logits_BP: Tensor, probs_BP: Tensor) -> Tensor:
    logq_BP = functional.log_softmax(logits_BP / TEMPERATURE, dim=1)
    return functional.kl_div(logq_BP, probs_BP, reduction="batchmean") * TEMPERATURE**2


def _by_autograd(logits_BP: Tensor, ids_BK: Tensor, probs_BK: Tensor) -> Tensor:
    logq_BP = functional.log_softmax(logits_BP / TEMPERATURE, dim=1)
    return -(logq_BP.gather(1, ids_BK) * probs_BK).sum(dim=1).mean() * TEMPERATURE**2
