"""What a search must find, without a search: all of one chain of HMM states by dynamic programming."""

import math

import numpy as np

# Minimisation rounds costs to 1/1024, as Kaldi's does.
QUANTISED = 0.005


def chain_cost(chain: list[int], scores_TP: np.ndarray) -> float:
    """Viterbi along one chain, from its first state to its last."""
    if not 0 < len(chain) <= len(scores_TP):
        return math.inf
    best = np.full(len(chain), np.inf)
    for t, frame in enumerate(scores_TP.astype(np.float64)):
        entered = np.concatenate(([0.0 if t == 0 else np.inf], best[:-1]))
        best = np.minimum(best, entered) - frame[chain]
    return float(best[-1])
