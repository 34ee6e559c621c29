"""Random digit strings, the words they are written with, and how espeak-ng is asked to read them."""

from collections.abc import Sequence

import numpy as np

DIGIT_WORDS = ("ZERO", "ONE", "TWO", "THREE", "FOUR", "FIVE", "SIX", "SEVEN", "EIGHT", "NINE")

# What the people in the background say: frequent words, none of them a digit.
CHATTER = (
    "the house was quiet and nobody came before morning because rain had fallen over green hills while people "
    "walked slowly towards a market where bread apples cheese and flowers were sold under white umbrellas some "
    "children laughed about their dog that always wanted more than it could carry home again"
)


def random_digits(rng: np.random.Generator, min_digits: int, max_digits: int) -> tuple[str, ...]:
    """A string of ``min_digits`` to ``max_digits`` digit words, all lengths and all digits equally likely."""
    length = int(rng.integers(min_digits, max_digits + 1))
    return tuple(DIGIT_WORDS[d] for d in rng.integers(0, 10, length))


def punctuated(words: Sequence[str], pause_probability: float, rng: np.random.Generator) -> str:
    """What espeak-ng reads. A comma makes it pause, as a person does between groups of digits."""
    pauses = rng.random(len(words)) < pause_probability
    return " ".join(word.lower() + "," * bool(pause) for word, pause in zip(words, pauses, strict=True)).rstrip(",")
