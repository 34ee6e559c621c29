"""Cross-entropy with soft targets at a temperature, dense and sparse.

Legend: B frames of a batch, P pdfs, K kept of a frame.
"""

import torch
from torch import Tensor
from torch.nn import functional

from asr_kd.train.cross_entropy import SparseTargets, sparse_cross_entropies


def dense_soft_loss(logits_BP: Tensor, probs_BP: Tensor, temperature: float, weights_B: Tensor | None = None) -> Tensor:
    """``T^2 * mean_B(-sum_P p log softmax(z / T))`` in nats (Hinton, Vinyals & Dean 2015, section 2).

    The factor T^2 keeps the gradient's size when T changes: it is ``T (q - p) / B``.

    Args:
        weights_B: of the mean, as in `asr_kd.train.frame_set.Batch`.
    """
    scaled_BP = logits_BP / temperature
    if weights_B is None:
        return functional.cross_entropy(scaled_BP, probs_BP) * temperature**2
    return _mean(functional.cross_entropy(scaled_BP, probs_BP, reduction="none"), weights_B) * temperature**2


def logit_loss(logits_BP: Tensor, targets_BP: Tensor, weights_B: Tensor | None = None) -> Tensor:
    """``mean_B(1 / 2P * sum_P (z - v)^2)``, z and v each zero-mean for each frame.

    The limit of `dense_soft_loss` for T to infinity, up to a constant (Hinton, Vinyals & Dean 2015, section 2.1;
    Bucila, Caruana & Niculescu-Mizil 2006): the gradients ``T (q - p) / B`` and ``(z - v) / (P B)`` become the same.
    """
    z_BP = logits_BP - logits_BP.mean(dim=1, keepdim=True)
    v_BP = targets_BP - targets_BP.mean(dim=1, keepdim=True)
    if weights_B is None:
        return functional.mse_loss(z_BP, v_BP) / 2
    return _mean((z_BP - v_BP).square().mean(dim=1), weights_B) / 2


def sparse_soft_targets(
    ids_BK: Tensor, probs_BK: Tensor, temperature: float, *, weight: float = 1.0, weights_B: Tensor | None = None
) -> SparseTargets:
    """Targets whose cross-entropy is `dense_soft_loss` times a weight, for distributions given as classes and
    probabilities that sum to one. A class may stand more than once in a row."""
    if weights_B is None:
        shares_B = torch.full_like(probs_BK[:, 0], weight / len(probs_BK))
    else:
        shares_B = weights_B * (weight / weights_B.sum().clamp(min=1))
    return SparseTargets(ids_BK, probs_BK, shares_B, temperature)


def sparse_soft_loss(
    logits_BP: Tensor, ids_BK: Tensor, probs_BK: Tensor, temperature: float, *, weight: float = 1.0
) -> Tensor:
    """The cross-entropy of `sparse_soft_targets`."""
    (loss,) = sparse_cross_entropies(logits_BP, [sparse_soft_targets(ids_BK, probs_BK, temperature, weight=weight)])
    return loss


def _mean(values_B: Tensor, weights_B: Tensor) -> Tensor:
    """The weighted mean; 0 where nothing counts."""
    return (values_B * weights_B).sum() / weights_B.sum().clamp(min=1)
