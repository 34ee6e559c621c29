"""Turn the MNIST images into frame stores and labels: train, dev and test.

CORPUS holds MNIST's four idx files. OUT/frames/{train,dev,test} are frame stores, an image being a frame without
context; OUT/ali/{train,dev,test} are their labels, the digits. Protocol paper trains on all 60,000 images, and its
dev set is the last 10,000 of them: watched, but learnt from too. Protocol dev leaves them out of training and tests
on them: there every setting was chosen. Protocol held-out leaves them out of training, too, and has the test images.
"""

import logging
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from asr_kd.corpus.mnist import NUM_CLASSES, SHA256, Images, load_mnist
from asr_kd.frames.images import write_images
from asr_kd.frames.store import FrameStore
from asr_kd.hmm.labels import write_labels
from asr_kd.options import option
from asr_kd.stage import Stage, digest

log = logging.getLogger("asr_kd")

NUM_DEV = 10_000
PROTOCOLS = ("paper", "dev", "held-out")
# The classes are the digits; no inventory of HMM states stands behind them.
STATES_FINGERPRINT = digest({"classes": [str(digit) for digit in range(NUM_CLASSES)]})


@dataclass(frozen=True, kw_only=True)
class Options:
    corpus: Path = option("folder of MNIST's idx files", positional=True)
    out: Path = option("directory to make", positional=True)
    protocol: str = option("which images are for what, see above", default="paper", choices=PROTOCOLS)
    train_images: int = option("take only the first so many training images; 0 for all", default=0)


def run(options: Options) -> None:
    given, test = load_mnist(options.corpus)
    for split, images in _splits(given, test, options).items():
        _make(options, split, images)


def _splits(given: Images, test: Images, options: Options) -> dict[str, Images]:
    """The images of each split, taken from the training files and the test files."""
    dev = _part(given, slice(-NUM_DEV, None))
    train = given if options.protocol == "paper" else _part(given, slice(None, -NUM_DEV))
    if options.protocol == "dev":
        test = dev
    if options.train_images:
        train = _part(train, slice(options.train_images))
    return {"train": train, "dev": dev, "test": test}


def _part(images: Images, which: slice) -> Images:
    return Images(pixels=images.pixels[which], digits=images.digits[which])


def _make(options: Options, split: str, images: Images) -> None:
    """One split's frame store and labels, each a stage of its own."""
    inputs = {"images": digest(SHA256), "split": split}
    frames, labels = (
        Stage(options.out / kind / split, command="make-mnist", options=options, inputs=inputs)
        for kind in ("frames", "ali")
    )
    if not frames.finished():
        with frames.writing() as folder:
            write_images(folder, [f"{split}-{number:05d}" for number in range(len(images.digits))], images.pixels)
    if not labels.finished():
        with labels.writing() as folder:
            write_labels(
                folder,
                FrameStore(frames.out),
                images.digits.astype(np.int32),
                num_pdfs=NUM_CLASSES,
                states_fingerprint=STATES_FINGERPRINT,
                dropped=(),
            )
    log.info("%s: %d images", frames.out, len(images.digits))
