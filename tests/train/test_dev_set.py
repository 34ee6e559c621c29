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


@pytest.mark.parametrize("labelled", [1.0, 0.6, 0.0])
def test_on_a_device_the_rows_of_the_frames_watched_are_held_and_give_the_same(
    make_store: Callable[..., FrameStore], monkeypatch: pytest.MonkeyPatch, labelled: float
) -> None:
    monkeypatch.setattr(dev_set, "EVAL_FRAMES", 10)
    monkeypatch.setattr(dev_set, "MAX_FRAMES", 120)
    store = make_store([403, 2, 95, 27])
    rng = np.random.default_rng(3)
    labels = np.where(rng.random(store.num_frames) < labelled, rng.integers(0, 3, store.num_frames), -1)
    expected = DevSet(store, labels, device=CPU).evaluate(FirstFeature(store))
    monkeypatch.setattr(dev_set, "HOST", "elsewhere")  # so that the CPU is treated as a device
    held = DevSet(store, labels, device=CPU)
    assert held.evaluate(FirstFeature(store)) == expected
    (rows_RD,) = held._rows._parts
    if labelled:
        assert rows_RD.untyped_storage().data_ptr() != store.padded.untyped_storage().data_ptr()
        assert len(rows_RD) < len(store.padded) / 2


def test_a_device_gathers_the_windows_itself(make_store: Callable[..., FrameStore]) -> None:
    store = make_store([70])
    gpu = torch.device("meta")  # stands for one: what lies there has no values
    watched = DevSet(store, np.zeros(70, np.int32), device=gpu)
    assert {part.device for part in (*watched._rows._parts, *watched._first_rows)} == {gpu}


def test_on_the_cpu_the_store_is_not_copied(make_store: Callable[..., FrameStore]) -> None:
    store = make_store([70])
    (rows_RD,) = DevSet(store, np.zeros(70, np.int32), device=CPU)._rows._parts
    assert rows_RD.data_ptr() == store.padded.data_ptr()
