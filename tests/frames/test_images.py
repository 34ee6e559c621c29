"""A frame store of images: one frame each, without context, in 0..1."""

from pathlib import Path

import numpy as np

from asr_kd.frames.images import write_images
from asr_kd.frames.store import FrameStore


def test_a_store_of_images_gives_each_image_back(tmp_path: Path) -> None:
    pixels = np.random.default_rng(1).integers(0, 256, (7, 4, 5), dtype=np.uint8)
    write_images(tmp_path, [f"image-{number}" for number in range(7)], pixels)
    store = FrameStore(tmp_path)
    assert (store.num_frames, store.input_dim, store.meta["features"]["image"]) == (7, 20, [4, 5])
    np.testing.assert_allclose(store.windows(slice(0, 7)).numpy() * 255, pixels.reshape(7, -1), atol=1e-4)
