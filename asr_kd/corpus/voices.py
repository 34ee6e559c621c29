"""Many different synthetic speakers: accent x variant x pitch x range x rate, shared out between splits."""

from collections.abc import Mapping, Sequence

import numpy as np

from asr_kd.corpus import espeak
from asr_kd.corpus.espeak import Voice
from asr_kd.corpus.seeding import generator

# Slower or faster than this, higher or lower, espeak-ng no longer sounds like anyone.
_WORDS_PER_MINUTE = (115, 205)
_PITCH = (15, 85)
_PITCH_RANGE = (20, 90)


def share_out(seed: int, shares: Mapping[str, float]) -> dict[str, list[tuple[str, str]]]:
    """The (accent, variant) pairs of each split, no pair in two of them.

    Args:
        shares: the part of all pairs that each split gets. They do not follow the splits' sizes, so that the voices
            of one split stay the same when another grows.

    Raises:
        SynthesisError: espeak-ng is not installed.
    """
    pairs = [(accent, variant) for accent in espeak.ACCENTS for variant in espeak.variants()]
    order = generator(seed, "voices").permutation(len(pairs))
    ends = np.cumsum([0.0, *shares.values()]) / sum(shares.values()) * len(pairs)
    return {
        split: [pairs[i] for i in order[round(start) : round(end)]]
        for split, start, end in zip(shares, ends[:-1], ends[1:], strict=True)
    }


def draw_voice(pairs: Sequence[tuple[str, str]], place: int, rng: np.random.Generator) -> Voice:
    """The voice of speaker number ``place``: the pairs in turn, the other settings by chance."""
    accent, variant = pairs[place % len(pairs)]
    return Voice(
        accent=accent,
        variant=variant,
        words_per_minute=int(rng.integers(*_WORDS_PER_MINUTE, endpoint=True)),
        pitch=int(rng.integers(*_PITCH, endpoint=True)),
        pitch_range=int(rng.integers(*_PITCH_RANGE, endpoint=True)),
    )
