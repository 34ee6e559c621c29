"""A frame store of images: an image is one utterance of one frame, without context.

Legend: N images, D pixels.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from asr_kd.frames.store import FEATS_FILE, FrameIndex, write_meta

BRIGHTEST = 255.0


def write_images(directory: Path, names: Sequence[str], pixels: np.ndarray) -> None:
    """Write a frame store into an existing directory.

    Args:
        names: of the images, the utterances.
        pixels: ``[N, rows, columns]`` uint8; features are these in 0..1, row by row.
    """
    rows_ND = pixels.reshape(len(pixels), -1).astype(np.float32) / BRIGHTEST
    np.save(directory / FEATS_FILE, rows_ND)
    index = FrameIndex(tuple(names), tuple(names), np.ones(len(names), dtype=np.int64))
    write_meta(directory, index, features=image_features(*pixels.shape[1:]), extra={})


def image_features(rows: int, columns: int) -> dict[str, Any]:
    """How the features of images were made, for a store's ``meta.json`` and a model's card."""
    return {"image": [rows, columns], "left_context": 0, "right_context": 0}
