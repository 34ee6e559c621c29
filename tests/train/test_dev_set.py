"""What a network is watched on: all of a small dev set, a fixed and even part of a large one."""

from collections.abc import Callable

import numpy as np
import pytest
import torch

from asr_kd.frames.store import FrameStore
from asr_kd.train import dev_set
from asr_kd.train.dev_set import DevSet

CPU = torch.device("cpu")


class FirstFeature(torch.nn.Module):
    """Takes the labelled frame's own features for logits."""

    def __init__(self, store: FrameStore) -> None:
        super().__init__()
        self.own = slice(store.left * store.dim, (store.left + 1) * store.dim)
        self.seen = 0

    def forward(self, x_BW: torch.Tensor) -> torch.Tensor:
        self.seen += len(x_BW)
        return x_BW[:, self.own]


def test_it_is_the_share_of_right_labels_and_their_cross_entropy(make_store: Callable[..., FrameStore]) -> None:
    store = make_store([700, 900, 5])
    labels = np.random.default_rng(1).integers(-1, 3, store.num_frames)
    feats = store.own_frames(slice(0, store.num_frames)).numpy()
    labelled = labels >= 0
    log_q = torch.log_softmax(torch.from_numpy(feats[labelled]), dim=1).numpy()
    accuracy, cross_entropy = DevSet(store, labels, device=CPU).evaluate(FirstFeature(store))
    assert accuracy == pytest.approx(np.mean(log_q.argmax(axis=1) == labels[labelled]))
    assert cross_entropy == pytest.approx(-np.mean(log_q[np.arange(len(log_q)), labels[labelled]]), rel=1e-5)


def test_a_large_dev_set_is_watched_in_part_and_evenly(
    make_store: Callable[..., FrameStore], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dev_set, "EVAL_FRAMES", 10)
    monkeypatch.setattr(dev_set, "MAX_FRAMES", 250)
    store = make_store([1003])
    # Right labels in the second half alone: half of the frames watched are right.
    right = store.own_frames(slice(0, store.num_frames)).argmax(dim=1).numpy()
    labels = np.where(np.arange(1003) < 500, (right + 1) % 3, right)
    net = FirstFeature(store)
    accuracy, _ = DevSet(store, labels, device=CPU).evaluate(net)
    assert net.seen == pytest.approx(250, abs=10)
    assert accuracy == pytest.approx(0.5, abs=0.05)
    assert DevSet(store, labels, device=CPU).evaluate(net)[0] == accuracy
