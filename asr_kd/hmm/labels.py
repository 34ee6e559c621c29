"""Labels: the pdf id of every frame of a frame store, by forced alignment.

A directory with ``pdfs.npy`` ``[N]`` int32 (-1 where an utterance could not be aligned), ``dropped.tsv``
(which and why) and ``meta.json`` (the fingerprints of frames and states).
"""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from asr_kd.errors import DataError, MismatchError
from asr_kd.frames.store import FrameStore
from asr_kd.stage import digest, replacing, write_json, write_text

PDFS_FILE, META_FILE, DROPPED_FILE = "pdfs.npy", "meta.json", "dropped.tsv"


@dataclass(frozen=True)
class Labels:
    """Labels read from a directory.

    Attributes:
        pdfs: ``[N]`` int32, -1 where there is none.
        meta: fingerprints of frames and states, number of pdfs.
    """

    path: Path
    pdfs: np.ndarray
    meta: dict[str, Any]

    @property
    def num_pdfs(self) -> int:
        """States in the inventory."""
        return int(self.meta["num_pdfs"])

    @property
    def states_fingerprint(self) -> str:
        """Identifies the inventory of states."""
        return str(self.meta["states_fingerprint"])

    @property
    def fingerprint(self) -> str:
        """Identifies the labels and the frames that they are of, wherever they lie."""
        pdfs = hashlib.sha256(self.pdfs.tobytes()).hexdigest()
        return digest([pdfs, self.meta["index_fingerprint"], self.states_fingerprint])

    @staticmethod
    def load(path: Path) -> "Labels":
        """Read a labels directory.

        Raises:
            DataError: it is missing or damaged.
        """
        try:
            meta = json.loads((path / META_FILE).read_text())
            pdfs = np.load(path / PDFS_FILE)
            num_pdfs = int(meta["num_pdfs"])
        except KeyError as error:
            raise DataError(f"{path / META_FILE}: does not say {error}; run asr-kd align again") from error
        except (OSError, ValueError, EOFError) as error:
            raise DataError(f"{path}: no labels there ({error}); make them with asr-kd align") from error
        if pdfs.dtype != np.int32 or pdfs.ndim != 1 or not (pdfs < num_pdfs).all():
            raise DataError(f"{path / PDFS_FILE}: not a list of ids below {num_pdfs}; run asr-kd align again")
        return Labels(path, pdfs, meta)


def write_labels(
    directory: Path,
    store: FrameStore,
    pdfs: np.ndarray,
    *,
    num_pdfs: int,
    states_fingerprint: str,
    dropped: Sequence[tuple[str, str]],
) -> None:
    """Write a labels directory.

    Args:
        pdfs: ``[N]`` pdf ids, -1 where there is none.
        dropped: utterances without labels, and why.
    """
    with replacing(directory / PDFS_FILE) as temporary, temporary.open("wb") as file:
        np.save(file, pdfs.astype(np.int32))
    write_text(directory / DROPPED_FILE, "".join(f"{utterance}\t{reason}\n" for utterance, reason in dropped))
    meta = {
        "frames": str(store.path),
        "index_fingerprint": store.index_fingerprint,
        "states_fingerprint": states_fingerprint,
        "num_pdfs": num_pdfs,
        "num_labelled": int((pdfs >= 0).sum()),
        "num_dropped_utterances": len(dropped),
    }
    write_json(directory / META_FILE, meta)


def match_labels(stores: Sequence[FrameStore], labels: Sequence[Labels]) -> list[Labels | None]:
    """The labels of each frame store, found by fingerprint; None for a store without labels.

    Where several are of one store, the first of them are its labels.

    Raises:
        DataError: not as many labels as frames.
        MismatchError: labels that belong to none of the stores, or of different state inventories.
    """
    for given in labels:
        if given.states_fingerprint != labels[0].states_fingerprint:
            raise MismatchError(
                f"{given.path} holds states {given.states_fingerprint}, {labels[0].path} states "
                f"{labels[0].states_fingerprint}: label all data with one inventory"
            )
        if all(given.meta["index_fingerprint"] != store.index_fingerprint for store in stores):
            raise MismatchError(
                f"{given.path}: labels of the frames {given.meta['index_fingerprint']} ({given.meta['frames']}), "
                f"which none of {', '.join(str(store.path) for store in stores)} holds; run asr-kd align again"
            )
    by_index = {given.meta["index_fingerprint"]: given for given in reversed(labels)}
    found = [by_index.get(store.index_fingerprint) for store in stores]
    for store, own in zip(stores, found, strict=True):
        if own is not None and len(own.pdfs) != store.num_frames:
            raise DataError(f"{own.path}: {len(own.pdfs)} labels for {store.num_frames} frames; run asr-kd align again")
    return found


def check_labelled(labels: Labels, model: Path, states_fingerprint: str) -> None:
    """Check that labels are there, and of the states that a model predicts.

    Raises:
        MismatchError: they are of other states, or no frame has one.
    """
    if states_fingerprint != labels.states_fingerprint:
        raise MismatchError(
            f"{labels.path} holds the states {labels.states_fingerprint}, {model} predicts {states_fingerprint}: "
            "label the frames with the states the model was trained on"
        )
    if not (labels.pdfs >= 0).any():
        raise MismatchError(f"{labels.path}: none of its frames has a label; was the data aligned?")


def log_prior(labels: Sequence[np.ndarray], num_pdfs: int) -> np.ndarray:
    """Log relative frequency ``[P]`` of each pdf, float32, with one frame added to each."""
    counts = np.ones(num_pdfs)
    for pdfs in labels:
        counts += np.bincount(pdfs[pdfs >= 0], minlength=num_pdfs)
    return np.log(counts / counts.sum()).astype(np.float32)
