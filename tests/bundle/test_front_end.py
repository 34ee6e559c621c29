"""Windows of a stream are those of the frames it holds, whatever pieces the samples come in."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asr_kd.bundle.front_end import FrontEnd, OnlineFrontEnd
from asr_kd.corpus.data_dir import Utterance
from asr_kd.frames.build import FeatureOptions, build_frame_store
from asr_kd.frames.cmvn import CmvnOptions, Moments
from asr_kd.frames.fbank import FbankOptions
from asr_kd.frames.store import FrameStore

RATE, BINS = 8000, 10


def front_end(cmvn: str, left: int = 4, right: int = 2) -> FrontEnd:
    rng = np.random.default_rng(1)
    options = FeatureOptions(
        fbank=FbankOptions(sample_rate=RATE, num_mel_bins=BINS),
        cmvn=CmvnOptions(cmvn=cmvn, cmvn_prior_frames=50),
        left_context=left,
        right_context=right,
    )
    return FrontEnd.of(options.describe(Moments.of((3 + rng.standard_normal((500, BINS))).astype(np.float32))))


def heard(made_by: FrontEnd, pieces: list[np.ndarray]) -> np.ndarray:
    online = OnlineFrontEnd(made_by)
    return np.concatenate([*(online.accept(piece) for piece in pieces), online.finish()])


def samples(length: int, seed: int) -> np.ndarray:
    return (0.1 * np.random.default_rng(seed).standard_normal(length)).astype(np.float32)


@given(
    length=st.integers(0, 6000),
    cuts=st.lists(st.integers(0, 6000), max_size=8),
    left=st.integers(0, 12),
    right=st.integers(0, 6),
    seed=st.integers(0, 99),
)
@settings(max_examples=50)
def test_without_normalisation_they_are_those_of_the_whole_recording(
    length: int, cuts: list[int], left: int, right: int, seed: int
) -> None:
    made_by, wave = front_end("none", left, right), samples(length, seed)
    pieces = np.split(wave, sorted(cut for cut in cuts if cut <= length))
    np.testing.assert_allclose(heard(made_by, pieces), made_by.windows(made_by.log_mel(wave)), atol=1e-5)


@given(cuts=st.lists(st.integers(0, 6000), max_size=8), seed=st.integers(0, 99))
@settings(max_examples=30)
def test_with_normalisation_pieces_change_nothing(cuts: list[int], seed: int) -> None:
    made_by, wave = front_end("utterance"), samples(6000, seed)
    np.testing.assert_allclose(heard(made_by, np.split(wave, sorted(cuts))), heard(made_by, [wave]), atol=1e-4)


@pytest.mark.parametrize("prior_frames", [0, 50])
def test_windows_of_a_recording_are_those_of_a_frame_store_made_with_the_same_prior(
    tmp_path: Path, prior_frames: int
) -> None:
    waves = {f"utt-{number}": samples(3000 + 700 * number, number) for number in range(3)}
    options = FeatureOptions(
        fbank=FbankOptions(sample_rate=RATE, num_mel_bins=BINS),
        cmvn=CmvnOptions(cmvn="utterance", cmvn_prior_frames=prior_frames),
        left_context=3,
        right_context=2,
    )
    prior = Moments.of(np.random.default_rng(5).normal(-2, 3, (500, BINS)).astype(np.float32))
    utterances = [Utterance(id=name, speaker="anna", audio="", words=None) for name in waves]
    build_frame_store(tmp_path, utterances, lambda utterance: waves[utterance.id], options, prior=prior)
    store = FrameStore(tmp_path)
    made_by = FrontEnd.of(store.meta["features"])
    for name, frames in store.index.slices():
        windows = made_by.windows(made_by.log_mel(waves[name]))
        np.testing.assert_allclose(windows, store.windows(frames).numpy(), rtol=0, atol=2e-3)


def test_a_window_is_there_as_soon_as_its_right_context_was_heard() -> None:
    made_by = front_end("utterance", right=5)
    online = OnlineFrontEnd(made_by)
    enough = (12 + 5) * made_by.log_mel.shift + made_by.log_mel.window  # for 18 frames
    assert len(online.accept(samples(enough - 1, 1))) == 12
    assert len(online.accept(samples(1, 2))) == 1


def test_log_mel_is_what_was_heard_and_not_forgotten() -> None:
    made_by, wave = front_end("utterance"), samples(4000, 3)
    online = OnlineFrontEnd(made_by)
    for piece in np.split(wave, 8):
        online.accept(piece)
    np.testing.assert_allclose(online.log_mel, made_by.log_mel(wave), atol=1e-5)
    online.forget(10)
    np.testing.assert_allclose(online.log_mel, made_by.log_mel(wave)[10:], atol=1e-5)


@pytest.mark.parametrize(
    "change", [{"fbank": {"num_mfcc": 13}}, {"cmvn": {"cmvn": "none", "window": 3}}, {"prior": {}}]
)
def test_an_unknown_description_is_refused(change: dict[str, Any]) -> None:
    options = FeatureOptions().describe(Moments.of(np.ones((3, 40), np.float32)))
    with pytest.raises((TypeError, KeyError)):
        FrontEnd.of(options | change)
