"""A specialist's classes."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from asr_kd.specialists.subset import Subset

SUBSET = Subset((1, 4), 6)


def test_states_keep_their_order_and_all_others_are_the_dustbin() -> None:
    classes = SUBSET.classes(np.array([0, 1, 2, 3, 4, 5, -1], dtype=np.int32))
    assert classes.tolist() == [2, 0, 2, 2, 1, 2, -1]
    assert classes.dtype == np.int32


@given(st.lists(st.floats(-20, 20), min_size=6, max_size=6))
def test_collapsing_keeps_the_subsets_probabilities_and_sums_the_rest(logits: list[float]) -> None:
    logp = torch.log_softmax(torch.tensor([logits], dtype=torch.float64), dim=1)
    collapsed = SUBSET.collapse(logp).exp()
    assert torch.allclose(collapsed.sum(), torch.ones((), dtype=torch.float64))
    assert torch.allclose(collapsed[0, :2], logp[0, [1, 4]].exp())


@pytest.mark.parametrize(
    ("subset", "states", "kind"),
    [(Subset((1, 3), 6), "states", "dustbin"), (SUBSET, "other", "dustbin"), (SUBSET, "states", "regularized")],
)
def test_another_subset_inventory_or_kind_has_another_fingerprint(subset: Subset, states: str, kind: str) -> None:
    own = SUBSET.fingerprint("states", kind="dustbin")
    assert own == Subset((1, 4), 6).fingerprint("states", kind="dustbin")
    assert own not in ("states", subset.fingerprint(states, kind=kind))
