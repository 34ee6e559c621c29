"""Statistics of hidden activations over a store that is larger than memory."""

from collections.abc import Callable, Sequence

import numpy as np
import pytest
import torch

from asr_kd.frames.store import FrameStore
from asr_kd.hmm import context_statistics
from asr_kd.nets.acoustic_model import AcousticModel

CPU = torch.device("cpu")


def test_of_a_large_store_the_projection_holds_the_rows_it_is_estimated_on_and_no_others(
    make_store: Callable[..., FrameStore], make_model: Callable[..., AcousticModel], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(context_statistics, "CHUNK_FRAMES", 16)
    monkeypatch.setattr(context_statistics, "PROJECTION_FRAMES", 32)
    store = make_store([40, 56])
    model = make_model(store)
    labelled = np.arange(96) % 4 > 0
    held: list[torch.Tensor] = []
    join = torch.cat

    def watched(parts: Sequence[torch.Tensor]) -> torch.Tensor:
        held.extend(parts)
        return join(parts)

    monkeypatch.setattr(torch, "cat", watched)
    mean_H, _ = context_statistics._projection(model, store, labelled, CPU)
    assert [part.untyped_storage().nbytes() for part in held] == [part.nbytes for part in held]
    # Every third labelled frame of each chunk of 16.
    rows = np.concatenate([np.flatnonzero(labelled[begin : begin + 16])[::3] + begin for begin in range(0, 96, 16)])
    with torch.inference_mode():
        expected = model.net.layers[:-1](store.windows(slice(0, 96))[rows])
    torch.testing.assert_close(mean_H, expected.mean(dim=0))
