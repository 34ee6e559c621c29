"""The first labels of a flat start: order, equal shares, and silence where it is quiet."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asr_kd.hmm.states import monophone_states
from asr_kd.hmm.uniform import find_speech, uniform_segmentation
from asr_kd.lang.lexicon import Lexicon

LEXICON = Lexicon((("A", ("x", "y")), ("A", ("y",)), ("B", ("z",))))
INVENTORY = monophone_states(LEXICON, "SIL", 3, 5)
SIL, X, Y, Z = (INVENTORY.phones[phone] for phone in ("SIL", "x", "y", "z"))


def states_in_order(labels: np.ndarray) -> tuple[int, ...]:
    return tuple(int(label) for label, _ in itertools.groupby(labels))


@settings(max_examples=50, deadline=None)
@given(st.lists(st.sampled_from(("A", "B")), min_size=1, max_size=4), st.integers(0, 120))
def test_first_pronunciations_in_order_in_equal_shares_or_none_if_too_short(words: list[str], num_frames: int) -> None:
    labels = uniform_segmentation(words, LEXICON, INVENTORY, num_frames)
    spoken = [X + Y if word == "A" else Z for word in words]
    if num_frames < sum(map(len, spoken)):
        assert labels is None
        return
    assert labels is not None
    assert labels.shape == (num_frames,)
    assert labels.dtype == np.int32
    full = sum((word + SIL for word in spoken), SIL)
    without_pauses = SIL + sum(spoken, ()) + SIL
    fitting = [order for order in (full, without_pauses, sum(spoken, ())) if len(order) <= num_frames]
    assert states_in_order(labels) == fitting[0]
    shares = [len(list(run)) for _, run in itertools.groupby(labels)]
    assert max(shares) - min(shares) <= 1


def test_no_words_is_all_silence() -> None:
    labels = uniform_segmentation((), LEXICON, INVENTORY, 12)
    assert labels is not None
    assert states_in_order(labels) == SIL
    assert uniform_segmentation((), LEXICON, INVENTORY, 4) is None


def loudness(rng: np.random.Generator, snr_db: float) -> tuple[np.ndarray, np.ndarray]:
    """Natural log energies of noise with two bursts of speech of changing loudness, and where they are."""
    speech = np.zeros(200, dtype=bool)
    speech[40:90] = speech[120:170] = True
    level = snr_db / 10 * np.log(10) + rng.normal(0, 1, 200)
    energy = rng.normal(0, 0.3, 200)
    return np.where(speech, np.logaddexp(energy, level), energy), speech


@pytest.mark.parametrize(("snr_db", "scale"), [(30.0, 1.0), (15.0, 1.0), (15.0, 0.1)])
def test_quiet_frames_become_silence_on_any_scale(snr_db: float, scale: float) -> None:
    energy, speech = loudness(np.random.default_rng(0), snr_db)
    labels = uniform_segmentation(("A", "B", "A"), LEXICON, INVENTORY, 200, scale * energy + 7)
    assert labels is not None
    assert np.mean((labels >= len(SIL)) == speech) > 0.85
    assert states_in_order(labels[labels >= len(SIL)]) == X + Y + Z + X + Y
    assert states_in_order(labels[:30])[0] == 0


def test_energies_of_one_group_change_nothing() -> None:
    rng = np.random.default_rng(0)
    plain = uniform_segmentation(("A", "B"), LEXICON, INVENTORY, 200)
    for energy in (rng.normal(size=200), rng.uniform(size=200), np.zeros(200), np.full(200, np.nan)):
        assert find_speech(energy) is None
        np.testing.assert_array_equal(uniform_segmentation(("A", "B"), LEXICON, INVENTORY, 200, energy), plain)


def test_speech_too_short_for_the_words_falls_back() -> None:
    energy = np.zeros(200)
    energy[90:105] = 10.0
    energy += np.random.default_rng(0).normal(0, 0.1, 200)
    words = ("A",) * 6
    assert find_speech(energy) is not None
    np.testing.assert_array_equal(
        uniform_segmentation(words, LEXICON, INVENTORY, 200, energy),
        uniform_segmentation(words, LEXICON, INVENTORY, 200),
    )


def test_a_stop_closure_is_speech_and_a_pause_is_not() -> None:
    energy = np.full(200, 10.0)
    energy[:30] = energy[170:] = 0.0
    energy[60:67] = 0.0
    energy[110:140] = 0.0
    speech = find_speech(energy + np.random.default_rng(0).normal(0, 0.1, 200))
    assert speech is not None
    assert speech[55:75].all()
    assert not speech[118:132].any()
    assert not speech[:20].any()
