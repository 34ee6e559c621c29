"""Predicted sizes are those of the files that the program writes; predicted work is what torch counts."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st
from torch.utils.flop_counter import FlopCounterMode

from asr_kd.frames.build import FeatureOptions
from asr_kd.frames.store import FEATS_FILE, FrameStore
from asr_kd.hmm.labels import PDFS_FILE, write_labels
from asr_kd.nets.acoustic_model import MODEL_FILE, AcousticModel
from asr_kd.nets.dnn import DNN, NetOptions, num_parameters
from asr_kd.plan.footprint import (
    CARD_BYTES,
    LABEL_BYTES,
    NPY_HEADER_BYTES,
    NetShape,
    Speech,
    record_layout,
    soft_target_bytes,
)
from asr_kd.targets.store import TARGETS_FILE, SoftTargetOptions, write_soft_targets
from asr_kd.train import checkpoint
from asr_kd.train.schedule import OptimizerOptions, make_optimizers

PAPER = NetShape(input_dim=26 * 40, num_layers=8, hidden_dim=2560, num_pdfs=14_000)
SMALL = NetOptions(num_layers=3, hidden_dim=20)
MakeStore = Callable[..., FrameStore]


def size(path: Path) -> int:
    return path.stat().st_size


def small_shape() -> NetShape:
    return NetShape.of(SMALL, input_dim=12, num_pdfs=7)


def test_the_papers_network_has_its_weights_and_work() -> None:
    assert PAPER.num_weights == pytest.approx(84.4e6, rel=1e-3)
    assert PAPER.training_flops == pytest.approx(500.9e6, rel=1e-3)


@pytest.mark.parametrize("net", [SMALL, NetOptions(num_layers=1, hidden_dim=5)])
def test_parameters_and_operations_are_those_of_the_network(net: NetOptions) -> None:
    dnn, shape = DNN(12, 7, net, seed=1), NetShape.of(net, input_dim=12, num_pdfs=7)
    assert shape.num_parameters == num_parameters(dnn)
    with FlopCounterMode(display=False) as forward:
        logits_BP = dnn(torch.zeros(10, 12))
    with FlopCounterMode(display=False) as backward:
        logits_BP.sum().backward()
    assert 10 * shape.forward_flops == forward.get_total_flops()
    assert 10 * shape.training_flops == forward.get_total_flops() + backward.get_total_flops()


def test_features_and_labels_take_what_is_predicted(make_store: MakeStore, tmp_path: Path) -> None:
    store = make_store([30, 1, 50])
    speech = Speech.of_stores([store], like=store)
    assert (speech.num_frames, speech.num_utterances, speech.input_dim) == (81, 3, store.input_dim)
    assert speech.feats_bytes + NPY_HEADER_BYTES == size(store.path / FEATS_FILE)
    write_labels(tmp_path, store, np.zeros(81), num_pdfs=7, states_fingerprint="states", dropped=[])
    assert LABEL_BYTES * speech.num_frames + NPY_HEADER_BYTES == size(tmp_path / PDFS_FILE)


def test_speech_of_several_stores_is_added_up(make_store: MakeStore) -> None:
    stores = [make_store([30, 12]), make_store([9])]
    one, other = (Speech.of_stores([store], like=store) for store in stores)
    assert Speech.of_stores(stores, like=stores[0]) == one + other
    assert one + Speech.of_stores([], like=stores[0]) == one


@pytest.mark.parametrize(
    "options",
    [
        SoftTargetOptions(dense=True),
        SoftTargetOptions(top_k=1, tail_samples=3),
        SoftTargetOptions(top_k=4, tail_samples=5),
        SoftTargetOptions(top_k=11, tail_samples=5),
    ],
)
def test_soft_targets_take_what_is_predicted(
    make_store: MakeStore, make_model: Callable[..., AcousticModel], tmp_path: Path, options: SoftTargetOptions
) -> None:
    store = make_store([30, 41])
    models = {Path("m"): make_model(store, num_pdfs=11)}
    write_soft_targets(tmp_path, store, models, options, device=torch.device("cpu"))
    assert 71 * soft_target_bytes(11, options) + NPY_HEADER_BYTES == size(tmp_path / TARGETS_FILE)


def test_a_model_takes_what_is_predicted(
    make_store: MakeStore, make_model: Callable[..., AcousticModel], tmp_path: Path
) -> None:
    model = make_model(make_store([30]), num_pdfs=11)
    model.save(tmp_path)
    shape = NetShape.of(model.card.net, input_dim=model.card.input_dim, num_pdfs=11)
    assert abs(shape.model_bytes - size(tmp_path / MODEL_FILE)) < CARD_BYTES
    assert shape.model_bytes - CARD_BYTES == sum(p.nbytes for p in model.net.parameters()) + model.log_prior.nbytes


@pytest.mark.parametrize("optimizer", ["adam", "sgd", "muon"])
def test_a_checkpoint_takes_what_is_predicted(tmp_path: Path, optimizer: str) -> None:
    net = DNN(12, 7, NetOptions(num_layers=3, hidden_dim=100), seed=1)
    optimizers = make_optimizers(net, OptimizerOptions(optimizer=optimizer))
    net(torch.zeros(4, 12)).sum().backward()
    for one in optimizers:
        one.step(0.01)
    checkpoint.save(tmp_path, checkpoint.Progress(), net, optimizers, {})
    predicted = NetShape(input_dim=12, num_layers=3, hidden_dim=100, num_pdfs=7).checkpoint_bytes(optimizer)
    assert abs(predicted - size(tmp_path / checkpoint.CHECKPOINT_FILE)) < CARD_BYTES


@examples(max_examples=50)
@given(hours=st.floats(0.01, 5000), seconds=st.floats(0.5, 30))
def test_an_hour_is_360000_frames_of_160_bytes_and_its_padding(hours: float, seconds: float) -> None:
    speech = Speech.of_hours(hours, seconds, FeatureOptions())
    assert speech.num_frames == round(360_000 * hours)
    assert speech.num_utterances >= 3600 * hours / seconds > speech.num_utterances - 1
    assert speech.feats_bytes == 160 * (speech.num_frames + 25 * speech.num_utterances)


@examples(max_examples=50)
@given(num_pdfs=st.integers(2, 100_000), top=st.integers(1, 200), tail=st.integers(1, 32))
def test_a_larger_record_is_never_fewer_bytes(num_pdfs: int, top: int, tail: int) -> None:
    top = min(top, num_pdfs - 1)
    sizes = [record_layout(num_pdfs, kept, tail).num_bytes for kept in range(1, top + 1)]
    assert sizes == sorted(set(sizes))


def test_a_record_keeps_no_more_than_there_are() -> None:
    most, all_of_them = (SoftTargetOptions(top_k=top, dense=False) for top in (8, 7))
    assert soft_target_bytes(7, most) == soft_target_bytes(7, all_of_them)


def test_the_papers_store_takes_66_bytes_a_frame_and_28000_dense() -> None:
    assert soft_target_bytes(14_000, SoftTargetOptions()) == 66
    assert soft_target_bytes(14_000, SoftTargetOptions(dense=True)) == 28_000


def test_a_smaller_shape_is_smaller_in_everything() -> None:
    small = small_shape()
    for what in ("num_parameters", "forward_flops", "training_flops", "model_bytes"):
        assert getattr(small, what) < getattr(PAPER, what)
    for optimizer in ("adam", "sgd"):
        assert small.state_bytes(optimizer) < PAPER.state_bytes(optimizer)
    assert PAPER.state_bytes("sgd") < PAPER.state_bytes("adam")
    assert PAPER.activation_bytes(1) < PAPER.activation_bytes(2)
