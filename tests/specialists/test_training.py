"""From a generalist and a subset to a specialist on disk."""

import gc
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from asr_kd.errors import DataError, MismatchError
from asr_kd.frames.store import FrameStore
from asr_kd.hmm.labels import Labels, write_labels
from asr_kd.hmm.posteriors import load_models
from asr_kd.nets.acoustic_model import AcousticModel
from asr_kd.nets.device import DeviceOptions
from asr_kd.specialists import training
from asr_kd.specialists.specialist import DUSTBIN, Specialist, load_specialists
from asr_kd.specialists.start import start_from
from asr_kd.specialists.subset import Subset
from asr_kd.specialists.training import paired_frames, specialist_card, train_on, train_specialist
from asr_kd.train import shuffle
from asr_kd.train.checkpoint import CHECKPOINT_FILE
from asr_kd.train.loop import TrainOptions
from asr_kd.train.model_training import TrainingData
from asr_kd.train.schedule import OptimizerOptions

CPU = torch.device("cpu")
PDFS = 6
SUBSET = Subset((1, 3), PDFS)
OPTIONS = TrainOptions(
    num_epochs=4,
    batch_size=64,
    optimizer=OptimizerOptions(learning_rate=0.01),
    device=DeviceOptions(dtype="fp32"),
)
SLOW = replace(OPTIONS, num_epochs=1, optimizer=OptimizerOptions(learning_rate=1e-9))


@pytest.fixture
def data(make_store: Callable[..., FrameStore], tmp_path: Path) -> TrainingData:
    """Frames whose label is the largest of six sums of features: a network can learn them."""
    weights = np.random.default_rng(0).standard_normal((3, PDFS))
    found = []
    for name, store in (("train", make_store([400, 500])), ("dev", make_store([200], seed=1))):
        pdfs = (np.asarray(store.own_frames(slice(0, store.num_frames))) @ weights).argmax(axis=1)
        (tmp_path / name).mkdir()
        write_labels(tmp_path / name, store, pdfs, num_pdfs=PDFS, states_fingerprint="states", dropped=[])
        found.append((store, Labels.load(tmp_path / name)))
    (store, labels), (dev_store, dev_labels) = found
    return TrainingData([store], [labels], dev_store, dev_labels)


@pytest.fixture
def generalist(data: TrainingData, make_model: Callable[..., AcousticModel]) -> AcousticModel:
    return make_model(data.stores[0], num_pdfs=PDFS)


def inside_accuracy(directory: Path, data: TrainingData) -> float:
    """Of a specialist by itself, over its classes, on the dev set."""
    specialist = Specialist.load(directory)
    windows = data.dev_store.windows(slice(0, data.dev_store.num_frames))
    found = specialist.log_posteriors(windows).argmax(dim=1).numpy()
    return float((found == specialist.subset.classes(data.dev_labels.pdfs)).mean())


@pytest.mark.parametrize("regularize", [False, True])
def test_a_specialist_learns_its_states(
    data: TrainingData, generalist: AcousticModel, tmp_path: Path, regularize: bool
) -> None:
    for options, name in ((SLOW, "before"), (OPTIONS, "after")):
        (tmp_path / name).mkdir()
        train_specialist(data, generalist, SUBSET, options, tmp_path / name, regularize=regularize)
    assert inside_accuracy(tmp_path / "after", data) > inside_accuracy(tmp_path / "before", data) + 0.1
    assert not (tmp_path / "after" / CHECKPOINT_FILE).exists()


def test_regularized_it_starts_as_the_generalist(data: TrainingData, generalist: AcousticModel, tmp_path: Path) -> None:
    train_specialist(data, generalist, SUBSET, SLOW, tmp_path, regularize=True)
    windows = data.dev_store.windows(slice(0, 50))
    found = Specialist.load(tmp_path).log_posteriors(windows)
    assert torch.allclose(found, SUBSET.collapse(generalist.log_posteriors(windows)), atol=1e-3)


def test_with_a_dustbin_it_starts_as_near_the_generalist_as_a_linear_output_can(
    data: TrainingData, generalist: AcousticModel
) -> None:
    store = data.stores[0]
    net = specialist_card(data, generalist, SUBSET, kind=DUSTBIN, dropout=None).new_net(seed=3)
    start_from(generalist, net, SUBSET, store)
    windows = store.windows(slice(0, store.num_frames))
    with torch.no_grad():
        logits, given = net(windows), generalist.logits(windows)
    assert torch.allclose(logits[:, :2], given[:, [1, 3]], atol=1e-5)
    wanted = torch.logsumexp(given[:, ~torch.from_numpy(SUBSET.mask())], dim=1)
    left = ((logits[:, 2] - wanted) ** 2).mean()
    # Of a least-squares fit with a constant, what is left has mean 0.
    assert (logits[:, 2] - wanted).mean().abs() < 1e-3
    mean_of_rows = given[:, [0, 2, 4, 5]].mean(dim=1)
    assert left < wanted.var()
    assert left < (mean_of_rows - wanted - (mean_of_rows - wanted).mean()).var()
    assert left < 0.1 * ((mean_of_rows - wanted) ** 2).mean()


@pytest.mark.parametrize("regularize", [False, True])
def test_an_interrupted_run_ends_as_an_uninterrupted_one(
    data: TrainingData, generalist: AcousticModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, regularize: bool
) -> None:
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    whole.mkdir(), cut.mkdir()
    expected = train_specialist(data, generalist, SUBSET, OPTIONS, whole, regularize=regularize)

    class Interrupted(training.Trainer):
        steps = 0

        def step(self, batch: object) -> None:
            Interrupted.steps += 1
            if Interrupted.steps == 5:
                raise KeyboardInterrupt
            super().step(batch)  # type: ignore[arg-type]

    with monkeypatch.context() as patch:
        patch.setattr(training, "Trainer", Interrupted)
        with pytest.raises(KeyboardInterrupt):
            train_specialist(data, generalist, SUBSET, OPTIONS, cut, regularize=regularize)
    assert (cut / CHECKPOINT_FILE).exists()
    found = train_specialist(data, generalist, SUBSET, OPTIONS, cut, regularize=regularize)
    for name, value in expected.net.state_dict().items():
        assert torch.equal(found.net.state_dict()[name], value), name


@pytest.mark.parametrize(("free", "whole"), [(10**9, 1), (10_000, 0)])
def test_the_features_are_on_the_gpu_once_or_not_at_all(
    data: TrainingData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, free: int, whole: int
) -> None:
    gpu = torch.device("meta")  # stands for one: what lies there has a size, but no values
    monkeypatch.setattr(shuffle, "free_bytes", lambda device: free)
    frames = paired_frames(data, SUBSET, OPTIONS, tmp_path, device=gpu, collapse=True)
    batches = list(frames.epoch(seed=1, epoch=0, batch_size=64))
    assert sum(len(batch.frames_B) for batch in batches) == len(frames)
    gc.collect()
    tensors = [thing for thing in gc.get_objects() if issubclass(type(thing), torch.Tensor) and thing.device == gpu]
    sizes = {t.untyped_storage()._cdata: t.untyped_storage().nbytes() for t in tensors}
    assert list(sizes.values()).count(data.stores[0].padded.nbytes) == whole


def test_trained_on_it_stays_a_full_model(data: TrainingData, generalist: AcousticModel, tmp_path: Path) -> None:
    train_on(data, generalist, SLOW, tmp_path, dropout=0.3)
    found = AcousticModel.load(tmp_path)
    windows = data.dev_store.windows(slice(0, 50))
    assert found.card.states_fingerprint == generalist.card.states_fingerprint
    assert found.card.net.dropout == 0.3
    assert torch.allclose(found.logits(windows), generalist.logits(windows), atol=1e-3)
    with pytest.raises(DataError, match="not a specialist"):
        Specialist.load(tmp_path)


@pytest.mark.parametrize("regularize", [False, True])
def test_a_specialist_is_not_taken_for_a_full_model(
    data: TrainingData, generalist: AcousticModel, tmp_path: Path, regularize: bool
) -> None:
    full, special = tmp_path / "full", tmp_path / "special"
    full.mkdir(), special.mkdir()
    generalist.save(full)
    train_specialist(data, generalist, SUBSET, SLOW, special, regularize=regularize)
    with pytest.raises(MismatchError, match="one state inventory"):
        load_models([full, special], data.stores[0], CPU)


def test_a_specialist_for_other_states_or_subset_is_refused(
    data: TrainingData, generalist: AcousticModel, tmp_path: Path
) -> None:
    train_specialist(data, generalist, SUBSET, SLOW, tmp_path, regularize=False)
    with pytest.raises(MismatchError, match="use the generalist it was made from"):
        load_specialists([tmp_path], data.stores[0], states_fingerprint="others", device=CPU)
    card = tmp_path / "specialist.json"
    card.write_text(json.dumps(json.loads(card.read_text()) | {"subset": [1, 4]}))
    with pytest.raises(DataError, match="not that of"):
        Specialist.load(tmp_path)


def test_a_generalist_of_other_states_is_refused(
    data: TrainingData, make_model: Callable[..., AcousticModel], tmp_path: Path
) -> None:
    other = make_model(data.stores[0], num_pdfs=PDFS, states="others")
    with pytest.raises(MismatchError, match="states others"):
        train_specialist(data, other, SUBSET, SLOW, tmp_path, regularize=False)


def test_a_subset_without_a_frame_is_refused(data: TrainingData, generalist: AcousticModel, tmp_path: Path) -> None:
    labels = data.labels[0]
    assert labels is not None
    labels.pdfs[np.isin(labels.pdfs, SUBSET.pdfs)] = 0
    with pytest.raises(DataError, match="not one training frame inside"):
        train_specialist(data, generalist, SUBSET, SLOW, tmp_path, regularize=False)
