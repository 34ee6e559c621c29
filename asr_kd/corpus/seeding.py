"""A random generator for each named thing, so that a result depends on neither order nor number of jobs."""

import zlib

import numpy as np


def generator(seed: int, *names: str | int) -> np.random.Generator:
    """The generator of one thing, e.g. ``generator(1, "train", "utterance", 17)``.

    Unlike draws from one shared generator, those for one utterance stay the same when another is added,
    left out or made in another process.
    """
    keys = [name if isinstance(name, int) else zlib.crc32(name.encode()) for name in names]
    return np.random.default_rng([seed, *keys])
