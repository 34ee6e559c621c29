"""What several tests share: real corpora, a pipeline over a small corpus of tones, made-up frame stores and models."""

import os
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import settings
from tone_pipeline import Pipeline, write_tones

from asr_kd.frames.build import FeatureOptions
from asr_kd.frames.fbank import FbankOptions
from asr_kd.frames.store import FEATS_FILE, FrameIndex, FrameStore, write_meta
from asr_kd.nets.acoustic_model import AcousticModel, ModelCard
from asr_kd.nets.dnn import NetOptions
from asr_kd.options import to_dict

# The same examples in every run: a test that fails, fails again.
settings.register_profile("same", derandomize=True, deadline=None)
settings.load_profile("same")


@pytest.fixture(scope="session")
def corpora() -> Path:
    """The folder of real corpora that ASR_KD_CORPORA names."""
    folder = os.environ.get("ASR_KD_CORPORA", "")
    if not folder or not all((Path(folder) / name / "data").is_dir() for name in ("fsdd", "librispeech47")):
        pytest.skip("ASR_KD_CORPORA names no folder with fsdd and librispeech47")
    return Path(folder)


@pytest.fixture(scope="session")
def tones(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The corpus of tones; tests read it and write elsewhere."""
    root = tmp_path_factory.mktemp("tones")
    write_tones(root)
    return root


@pytest.fixture(scope="session")
def pipeline(tones: Path, tmp_path_factory: pytest.TempPathFactory) -> Pipeline:
    """The corpus of tones with every stage run; tests read it and write elsewhere."""
    made = Pipeline(tones, tmp_path_factory.mktemp("pipeline") / "exp")
    made.run()
    return made


@pytest.fixture(scope="session")
def make_store(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., FrameStore]:
    """Writes a frame store of given features, or of random ones of given lengths."""

    def make(
        utterances: Sequence[np.ndarray | int], *, left: int = 2, right: int = 1, dim: int = 3, seed: int = 0
    ) -> FrameStore:
        rng = np.random.default_rng(seed)
        feats = [
            rng.standard_normal((given, dim)).astype(np.float32) if isinstance(given, int) else given
            for given in utterances
        ]
        path = tmp_path_factory.mktemp("frames")
        padded = [np.pad(own, ((left, right), (0, 0)), mode="edge") for own in feats]
        np.save(path / FEATS_FILE, np.concatenate(padded))
        ids = tuple(f"utt-{number:03d}" for number in range(len(feats)))
        index = FrameIndex(ids, tuple("speaker" for _ in ids), np.array([len(own) for own in feats], dtype=np.int64))
        options = FeatureOptions(fbank=FbankOptions(num_mel_bins=dim), left_context=left, right_context=right)
        write_meta(path, index, features=to_dict(options) | {"prior": {}}, extra={})
        return FrameStore(path)

    return make


@pytest.fixture(scope="session")
def make_model() -> Callable[..., AcousticModel]:
    """An untrained model of a frame store's features, with weights large enough for decided outputs."""

    def make(store: FrameStore, *, num_pdfs: int = 11, seed: int = 1, states: str = "states") -> AcousticModel:
        card = ModelCard(
            net=NetOptions(num_layers=1, hidden_dim=16),
            input_dim=store.input_dim,
            num_pdfs=num_pdfs,
            features=store.meta["features"],
            features_fingerprint=store.features_fingerprint,
            states_fingerprint=states,
        )
        net = card.new_net(seed=seed)
        with torch.no_grad():
            net.layers[-1].weight *= 3
        prior = torch.log_softmax(torch.linspace(-1, 1, num_pdfs), dim=0)
        return AcousticModel(card, net.eval(), prior, fingerprint=f"model-{seed}")

    return make


@pytest.fixture
def complaint(capsys: pytest.CaptureFixture[str]) -> Callable[[], str]:
    """The last line a command wrote to standard error."""
    return lambda: capsys.readouterr().err.splitlines()[-1]
