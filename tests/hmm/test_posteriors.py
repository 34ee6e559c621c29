"""Posteriors of a frame store by one model or the mean of several."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from asr_kd.errors import MismatchError, UsageError
from asr_kd.frames.store import FrameStore
from asr_kd.hmm import posteriors
from asr_kd.hmm.posteriors import load_models, mean_log_posteriors, utterance_log_posteriors
from asr_kd.nets.acoustic_model import AcousticModel

CPU = torch.device("cpu")
MakeStore, MakeModel = Callable[..., FrameStore], Callable[..., AcousticModel]


def exact(models: list[AcousticModel], x_BW: torch.Tensor) -> np.ndarray:
    """Log of the mean of the softmaxes, in float64."""
    with torch.no_grad():
        logits = [model.net(x_BW).numpy().astype(np.float64) for model in models]
    probs = [np.exp(own) / np.exp(own).sum(axis=1, keepdims=True) for own in logits]
    return np.asarray(np.log(np.mean(probs, axis=0)))


@pytest.mark.parametrize("members", [1, 2, 5])
def test_the_mean_is_that_of_the_posteriors(make_store: MakeStore, make_model: MakeModel, members: int) -> None:
    store = make_store([50])
    models = [make_model(store, seed=seed) for seed in range(members)]
    x_BW = store.windows(slice(0, 50))
    found = mean_log_posteriors(models, x_BW)
    np.testing.assert_allclose(found, exact(models, x_BW), rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(found.exp().sum(dim=1), torch.ones(50))


class Largest(TorchDispatchMode):
    """Notes how many numbers the largest result of an operation holds."""

    size = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):  # type: ignore[no-untyped-def]
        result = func(*args, **(kwargs or {}))
        if isinstance(result, torch.Tensor):
            self.size = max(self.size, result.numel())
        return result


def test_the_mean_of_many_models_takes_no_more_memory_at_once_than_that_of_two(
    make_store: MakeStore, make_model: MakeModel
) -> None:
    store = make_store([50])
    models = [make_model(store, num_pdfs=40, seed=seed) for seed in range(5)]
    with Largest() as largest:
        mean_log_posteriors(models, store.windows(slice(0, 50)))
    assert largest.size == 50 * 40


@pytest.mark.parametrize("nj", [1, 3])
def test_utterances_come_in_order_each_with_its_frames(
    make_store: MakeStore, make_model: MakeModel, nj: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = make_store([5, 1, 30, 12])
    models = [make_model(store, seed=1), make_model(store, seed=2)]
    whole = mean_log_posteriors(models, store.windows(slice(0, 48)))
    monkeypatch.setattr(posteriors, "CHUNK_FRAMES", 8)
    found = list(utterance_log_posteriors(models, store, device=CPU, nj=nj))
    assert [(name, frames) for name, frames, _ in found] == list(store.index.slices())
    for _, frames, logp in found:
        assert logp.dtype == np.float32
        np.testing.assert_allclose(logp, whole[frames], rtol=1e-4, atol=1e-5)


def test_the_number_of_threads_does_not_change_a_score(make_store: MakeStore, make_model: MakeModel) -> None:
    store = make_store([50, 20, 33])
    models = [make_model(store)]
    one, three = (list(utterance_log_posteriors(models, store, device=CPU, nj=nj)) for nj in (1, 3))
    for (_, _, first), (_, _, second) in zip(one, three, strict=True):
        np.testing.assert_array_equal(first, second)


def saved(model: AcousticModel, directory: Path) -> Path:
    directory.mkdir()
    model.save(directory)
    return directory


def test_models_of_the_stores_features_and_one_inventory_load(
    tmp_path: Path, make_store: MakeStore, make_model: MakeModel
) -> None:
    store = make_store([5])
    paths = [saved(make_model(store, seed=seed), tmp_path / str(seed)) for seed in (1, 2)]
    models = load_models(paths, store, CPU)
    assert list(models) == paths
    assert not any(model.net.training for model in models.values())


def test_models_of_other_features_or_states_are_refused(
    tmp_path: Path, make_store: MakeStore, make_model: MakeModel
) -> None:
    store, other = make_store([5]), make_store([5], left=3)
    fitting = saved(make_model(store), tmp_path / "fitting")
    with pytest.raises(MismatchError, match=other.features_fingerprint):
        load_models([fitting, saved(make_model(other), tmp_path / "features")], store, CPU)
    with pytest.raises(MismatchError, match="another"):
        load_models([fitting, saved(make_model(store, states="another"), tmp_path / "states")], store, CPU)


def test_a_model_counts_once(tmp_path: Path, make_store: MakeStore, make_model: MakeModel) -> None:
    store = make_store([5])
    path = saved(make_model(store), tmp_path / "model")
    with pytest.raises(UsageError, match="twice"):
        load_models([path, tmp_path / "." / "model"], store, CPU)
