"""The first labels of a flat start: states spread evenly over an utterance."""

from collections.abc import Sequence

import numpy as np

from asr_kd.hmm.states import StateInventory
from asr_kd.lang.lexicon import Lexicon

_SMOOTHING = 5
_SHORTEST_SPEECH = 4
_WIDENED = 4
_SHORTEST_PAUSE = 8
# A single Gaussian and a uniform distribution gain 0.02 or less; digits with pauses in noise 0.1 to 0.9.
_LEAST_GAIN_LOGP = 0.06
# Below this much of what the words need, much speech must be buried in noise.
_FEWEST_FRAMES_A_STATE = 1.5


def uniform_segmentation(
    words: Sequence[str],
    lexicon: Lexicon,
    inventory: StateInventory,
    num_frames: int,
    log_energy: np.ndarray | None = None,
) -> np.ndarray | None:
    """Label frames with states in equal shares.

    Without energies: silence, the words with silence between them, silence. With energies that fall
    clearly in two groups, and leave enough for the words: silence where they are low, the words' states
    spread over the rest; otherwise as without.

    Args:
        words: the words; of each the first pronunciation counts.
        lexicon: must have all the words.
        inventory: the states.
        num_frames: T.
        log_energy: ``[T]``, any logarithmic measure of each frame's energy, on any scale.

    Returns:
        ``[T]`` int32 pdf ids, or None if there are fewer frames than states.
    """

    def alone(phone: str) -> tuple[int, ...]:
        return inventory.pdfs(phone, inventory.silence, inventory.silence)

    silence = alone(inventory.silence)
    spoken = [[pdf for phone in lexicon.pronunciations(word)[0] for pdf in alone(phone)] for word in words]
    flat = [pdf for word in spoken for pdf in word]
    if log_energy is not None and flat:
        speech = find_speech(log_energy)
        if speech is not None and np.count_nonzero(speech) >= _FEWEST_FRAMES_A_STATE * len(flat):
            return _spread_over_speech(flat, silence, speech)
    between = [pdf for word in spoken for pdf in (*word, *silence)]
    for states in ([*silence, *between], [*silence, *flat, *silence], flat):
        if 0 < len(states) <= num_frames:
            return _spread(states, num_frames)
    return None


def find_speech(log_energy: np.ndarray) -> np.ndarray | None:
    """Frames of speech by their energy: ``[T]`` bool, or None where energies do not fall in two groups.

    Two Gaussians are fitted to the smoothed energies, narrow and wide as the groups are: in noise the
    pauses make a narrow group and speech a wide one, which no single threshold between the means parts
    well. The groups count as two if they explain the energies clearly better than one Gaussian does.
    Speech is widened a little, for its weak beginnings and ends, and short pauses within it, such as the
    closure of a stop, belong to it.

    Args:
        log_energy: ``[T]``.
    """
    if len(log_energy) < 2 * _SMOOTHING or not np.isfinite(log_energy).all() or np.ptp(log_energy) == 0:
        return None
    padded = np.pad(log_energy.astype(np.float64), _SMOOTHING // 2, mode="edge")
    high, gain = _two_gaussians(np.convolve(padded, np.full(_SMOOTHING, 1 / _SMOOTHING), mode="valid"))
    if gain < _LEAST_GAIN_LOGP:
        return None
    speech = _without_short_runs(high, True, _SHORTEST_SPEECH)
    speech = np.convolve(speech, np.ones(2 * _WIDENED + 1), mode="same") > 0
    return _without_short_runs(speech, False, _SHORTEST_PAUSE)


def _two_gaussians(values_T: np.ndarray, iterations: int = 30) -> tuple[np.ndarray, float]:
    """Fit two Gaussians by expectation maximisation.

    Returns:
        ``[T]`` bool, the values of the upper group; the mean gain in log-likelihood over one Gaussian.
    """
    floor = 0.05 * values_T.std()
    high = values_T > (values_T.min() + values_T.max()) / 2
    share_T2 = np.stack([~high, high], axis=1).astype(np.float64)
    for _ in range(iterations):
        mass = np.maximum(share_T2.sum(axis=0), 1e-3)
        mean = (share_T2 * values_T[:, None]).sum(axis=0) / mass
        deviation = np.sqrt((share_T2 * (values_T[:, None] - mean) ** 2).sum(axis=0) / mass)
        deviation = np.maximum(deviation, floor)
        normed_T2 = (values_T[:, None] - mean) / deviation
        logp_T2 = np.log(mass / len(values_T)) - np.log(deviation) - normed_T2**2 / 2
        total_T = np.logaddexp(logp_T2[:, 0], logp_T2[:, 1])
        share_T2 = np.exp(logp_T2 - total_T[:, None])
    one_gaussian = -np.log(values_T.std()) - 0.5
    return (share_T2[:, 1] > 0.5) & (values_T > mean[0]), float(total_T.mean() - one_gaussian)


def _without_short_runs(mask: np.ndarray, value: bool, shortest: int) -> np.ndarray:
    """Turn over runs of a value that are too short, but not those at an edge."""
    result = mask.copy()
    for first, last in _runs(mask, value):
        if last - first < shortest and first > 0 and last < len(mask):
            result[first:last] = not value
    return result


def _runs(mask: np.ndarray, value: bool) -> list[tuple[int, int]]:
    """The first frame and the one past the last of each run of a value."""
    edges = np.flatnonzero(np.diff(np.concatenate(([not value], mask, [not value])).astype(np.int8)))
    return [(int(first), int(last)) for first, last in edges.reshape(-1, 2)]


def _spread(states: Sequence[int], num_frames: int) -> np.ndarray:
    return np.asarray(states, dtype=np.int32)[np.arange(num_frames) * len(states) // num_frames]


def _spread_over_speech(flat: Sequence[int], silence: Sequence[int], speech: np.ndarray) -> np.ndarray:
    labels = np.empty(len(speech), dtype=np.int32)
    labels[speech] = _spread(flat, int(np.count_nonzero(speech)))
    for first, last in _runs(speech, False):
        labels[first:last] = _spread(silence[: last - first], last - first)
    return labels
