"""The soft-target store: one record a frame over a frame store's index.

A directory with ``targets.npy`` (records ``[N, R]`` uint8; float16 ``[N, P]`` probabilities where dense, or logits)
and ``meta.json``: temperature (none where logits are kept), kind of mean, layout, and the fingerprints of
frames, states and models.

Legend: N frames, B frames of a batch, P pdfs, K kept, R bytes of a record.
"""

import json
import logging
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from asr_kd.errors import DataError, MismatchError, UsageError
from asr_kd.frames.store import FrameStore
from asr_kd.nets.acoustic_model import AcousticModel, input_dtype, models_fingerprint
from asr_kd.nets.free_memory import free_bytes
from asr_kd.options import option
from asr_kd.stage import write_json
from asr_kd.targets.ensemble import MEANS, ensemble_targets, mean_logits, stacked_logits
from asr_kd.targets.record import RecordLayout
from asr_kd.threads import threaded_map

log = logging.getLogger(__name__)

TARGETS_FILE, META_FILE = "targets.npy", "meta.json"
CHUNK_FRAMES = 4096
# Up to so many classes a step on all probabilities is faster than one on a record of some (`asr-kd bench --only loss`).
DENSE_PDFS = 128
BLOCK_LOGITS = 1 << 25  # of all members at once


def block_frames(num_pdfs: int, num_members: int) -> int:
    """Frames of a chunk that are averaged at once: with large inventories not all of them."""
    return max(BLOCK_LOGITS // (num_pdfs * num_members), 1)


@dataclass(frozen=True, kw_only=True)
class SoftTargetOptions:
    """What is stored of an ensemble's mean."""

    temperature: float = option("T: temperature of the softmax, that of the student's training", default=2.0)
    mean: str = option("how the members' distributions are averaged", default="arithmetic", choices=MEANS)
    top_k: int = option("largest probabilities kept of a frame", default=8)
    tail_samples: int = option("classes drawn from the rest of a frame's distribution", default=16)
    dense: bool | None = option(
        "keep all probabilities of a frame, not a record of some; by default where there are at most "
        f"{DENSE_PDFS} classes and --top-k and --tail-samples say nothing else",
        default=None,
    )
    logits: bool = option(
        "keep the mean of the members' logits, zero-mean for each frame: soft targets for any temperature, which "
        "distill then needs; for small inventories",
        default=False,
    )
    seed: int = option("seed of the draws from the tail", default=1)

    def __post_init__(self) -> None:
        if not self.temperature > 0:
            raise UsageError(f"--temperature must be above 0, got {self.temperature}")
        if self.logits and self.dense:
            raise UsageError("give --dense (probabilities at one temperature) or --logits (for any), not both")

    def keeps_all(self, num_pdfs: int) -> bool:
        """Whether all probabilities of a frame are kept."""
        if self.dense is not None or self.logits:
            return bool(self.dense)
        by_default = (SoftTargetOptions.top_k, SoftTargetOptions.tail_samples)
        return num_pdfs <= DENSE_PDFS and (self.top_k, self.tail_samples) == by_default


def write_soft_targets(
    directory: Path,
    store: FrameStore,
    members: dict[Path, AcousticModel],
    options: SoftTargetOptions,
    *,
    device: torch.device,
    nj: int = 1,
) -> None:
    """Average an ensemble over a frame store and write the store into an existing directory.

    Args:
        nj: threads; the draws depend on the seed and the frame alone, not on their number.

    Raises:
        UsageError: logits of several members with the arithmetic mean, which they do not give.
    """
    if options.logits and len(members) > 1 and options.mean != "geometric":
        raise UsageError("--logits: the mean of logits is the geometric mean of distributions; give --mean geometric")
    card = next(iter(members.values())).card
    top = min(options.top_k, card.num_pdfs)
    layout = RecordLayout(card.num_pdfs, top, options.tail_samples if top < card.num_pdfs else 0)
    models = list(members.values())
    dense = options.keeps_all(card.num_pdfs)

    def averaged(x_BW: Tensor) -> Tensor:
        if options.logits:
            return mean_logits(stacked_logits(models, x_BW))
        return ensemble_targets(models, x_BW, temperature=options.temperature, mean=options.mean)

    def targets(frames: slice) -> np.ndarray:
        blocks = store.windows(frames, device, input_dtype(models)).split(block_frames(card.num_pdfs, len(models)))
        probs_BP = torch.cat([averaged(x_BW) for x_BW in blocks])
        if dense or options.logits:
            return np.asarray(probs_BP.half().cpu().numpy())
        generator = torch.Generator().manual_seed(options.seed * 1_000_003 + frames.start)
        return layout.pack(probs_BP, generator)

    write_targets(
        directory,
        store,
        targets,
        models=members,
        states_fingerprint=card.states_fingerprint,
        layout=layout,
        temperature=None if options.logits else options.temperature,
        mean=options.mean,
        dense=dense,
        logits=options.logits,
        nj=nj,
    )


def write_targets(
    directory: Path,
    store: FrameStore,
    targets: Callable[[slice], np.ndarray],
    *,
    models: dict[Path, AcousticModel],
    states_fingerprint: str,
    layout: RecordLayout,
    temperature: float | None,
    mean: str,
    dense: bool = False,
    logits: bool = False,
    nj: int = 1,
) -> None:
    """Write a soft-target store into an existing directory, a chunk of frames at a time.

    Args:
        targets: makes the records of consecutive frames; probabilities or logits ``[B, P]`` where these are kept.
        models: that the targets are made from.
        temperature: None where logits are kept.
        mean: how the models are averaged, in words.
        nj: threads that make targets.
    """
    whole = dense or logits
    kind = np.dtype(np.float16 if whole else np.uint8)
    shape = (store.num_frames, layout.num_pdfs if whole else layout.num_bytes)
    rows = (made for _, made in threaded_map(targets, store.chunks(CHUNK_FRAMES), nj=nj))
    _write_array(directory / TARGETS_FILE, rows, shape, kind)
    meta = {
        "frames": str(store.path),
        "index_fingerprint": store.index_fingerprint,
        "features_fingerprint": store.features_fingerprint,
        "feats_fingerprint": store.feats_fingerprint,
        "states_fingerprint": states_fingerprint,
        "models": {str(path): model.fingerprint for path, model in models.items()},
        "models_fingerprint": models_fingerprint(models),
        "num_pdfs": layout.num_pdfs,
        "temperature": temperature,
        "mean": mean,
        "dense": dense,
        "logits": logits,
        "top_k": layout.top,
        "tail_samples": layout.tail,
        "bytes_per_frame": shape[1] * kind.itemsize,
    }
    write_json(directory / META_FILE, meta)


def _write_array(path: Path, chunks: Iterable[np.ndarray], shape: tuple[int, int], kind: np.dtype) -> None:
    """Written in order and not mapped: on a full disk a mapped file kills the process, a write is an error."""
    with (
        path.open("wb") as file,
        tqdm(total=shape[0], unit="frame", unit_scale=True, disable=None) as progress,
    ):
        header = {"descr": np.lib.format.dtype_to_descr(kind), "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_1_0(file, header)
        for rows in chunks:
            file.write(np.ascontiguousarray(rows).data)
            progress.update(len(rows))


class SoftTargets:
    """A soft-target store on disk, memory-mapped.

    Raises:
        DataError: the directory is missing or damaged.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            self.meta: dict[str, Any] = json.loads((path / META_FILE).read_text())
            self._rows = np.load(path / TARGETS_FILE, mmap_mode="c")
            self.layout = RecordLayout(self.meta["num_pdfs"], self.meta["top_k"], self.meta["tail_samples"])
        except KeyError as error:
            raise DataError(f"{path / META_FILE}: does not say {error}; make the soft targets anew") from error
        except (OSError, ValueError, EOFError) as error:
            raise DataError(f"{path}: no soft targets there ({error}); run asr-kd make-soft-targets") from error

    @property
    def rows(self) -> Tensor:
        """All records ``[N, R]`` uint8, or float16 ``[N, P]``: probabilities where dense, or logits."""
        return torch.from_numpy(self._rows)

    @property
    def dense(self) -> bool:
        """Whether all probabilities are kept."""
        return bool(self.meta["dense"])

    @property
    def logits(self) -> bool:
        """Whether logits are kept, for any temperature."""
        return bool(self.meta.get("logits", False))

    def check(self, store: FrameStore, *, states_fingerprint: str, members_fingerprint: str | None) -> None:
        """Check that these soft targets are those of the given frames, states and ensemble.

        Args:
            members_fingerprint: of the ensemble, or None where any will do.

        Raises:
            MismatchError: they are not; says which differs.
        """
        pairs = [
            ("frames", self.meta["index_fingerprint"], store.index_fingerprint, str(store.path)),
            ("features", self.meta["features_fingerprint"], store.features_fingerprint, str(store.path)),
            ("feature values", self.meta["feats_fingerprint"], store.feats_fingerprint, str(store.path)),
            ("states", self.meta["states_fingerprint"], states_fingerprint, "the labels"),
        ]
        if members_fingerprint is not None:
            pairs.append(("models", self.meta["models_fingerprint"], members_fingerprint, "--teachers"))
        for what, made, now, where in pairs:
            if made != now:
                raise MismatchError(
                    f"{self.path}: made from {what} {made}, but {where} has {what} {now}; "
                    f"run asr-kd make-soft-targets again"
                )


class TargetReader:
    """Soft targets of a training set made of several frame stores, read in random batches.

    They lie on the device where half of its free memory holds them. Elsewhere, as on the CPU, each store stays
    memory-mapped: processes that train side by side share its pages.

    Args:
        stores: one store of soft targets for each frame store, in the same order.
        device: where the batches are asked for.
        temperature: for stores of logits; the others have theirs.

    Raises:
        MismatchError: stores made with different options or models.
        UsageError: a temperature is missing, or given for stores that have one.
    """

    def __init__(
        self, stores: Sequence[SoftTargets], device: torch.device, *, temperature: float | None = None
    ) -> None:
        first = stores[0]
        keys = ("temperature", "mean", "dense", "logits", "top_k", "tail_samples", "num_pdfs", "models_fingerprint")
        for store in stores:
            for key in keys:
                if store.meta.get(key) != first.meta.get(key):
                    raise MismatchError(
                        f"{store.path} has {key} {store.meta.get(key)}, {first.path} has {first.meta.get(key)}: "
                        "make all soft targets of one student with the same options and models"
                    )
        self.temperature = _temperature(first, temperature)
        self.dense = first.dense or first.logits
        self._of_logits = first.logits
        self._layout = first.layout
        self._parts = _placed([store.rows for store in stores], device)
        self._starts = [0, *np.cumsum([len(part) for part in self._parts]).tolist()]

    def dense_batch(self, frames_B: Tensor) -> Tensor:
        """Distributions ``[B, P]`` float32 of frames."""
        if self._of_logits:
            return torch.softmax(self.logits_batch(frames_B) / self.temperature, dim=1)
        probs_BP = self._records(frames_B).float()
        return probs_BP / probs_BP.sum(dim=1, keepdim=True)

    def logits_batch(self, frames_B: Tensor) -> Tensor:
        """Logits ``[B, P]`` float32 of frames, where these are kept."""
        return self._records(frames_B).float()

    def sparse_batch(self, frames_B: Tensor) -> tuple[Tensor, Tensor]:
        """Class ids and probabilities ``[B, K]`` of frames."""
        return self._layout.unpack(self._records(frames_B))

    def _records(self, frames_B: Tensor) -> Tensor:
        """Gathered where they lie, and brought to where the frames are."""
        return self._gathered(frames_B.to(self._parts[0].device)).to(frames_B.device)

    def _gathered(self, frames_B: Tensor) -> Tensor:
        if len(self._parts) == 1:
            return torch.index_select(self._parts[0], 0, frames_B)
        records_BR = self._parts[0].new_empty((len(frames_B), self._parts[0].shape[1]))
        for part, start in zip(self._parts, self._starts, strict=False):
            own_B = torch.nonzero((frames_B >= start) & (frames_B < start + len(part))).squeeze(1)
            records_BR[own_B] = torch.index_select(part, 0, frames_B[own_B] - start)
        return records_BR


def _placed(parts: list[Tensor], device: torch.device) -> list[Tensor]:
    """The records as one array on the device, or as they are."""
    num_bytes = sum(part.nbytes for part in parts)
    if device.type == "cpu":
        return parts
    if num_bytes > free_bytes(device) // 2:
        log.info("soft targets stay on the host: %d bytes do not fit in half of the free memory", num_bytes)
        return parts
    return [joined(parts, device)]


def joined(parts: Sequence[Tensor], device: torch.device) -> Tensor:
    """All parts as one array ``[N, R]`` on a device, copied one by one: the host holds none of them twice."""
    whole_NR = parts[0].new_empty((sum(map(len, parts)), parts[0].shape[1]), device=device)
    for own_NR, part in zip(whole_NR.split([len(part) for part in parts]), parts, strict=True):
        own_NR.copy_(part)
    return whole_NR


def _temperature(store: SoftTargets, given: float | None) -> float:
    if store.logits and given is None:
        raise UsageError(f"{store.path} holds logits, for any temperature: say which with --temperature")
    if not store.logits and given is not None:
        raise UsageError(f"{store.path} was made at temperature {store.meta['temperature']}: leave --temperature out")
    return float(store.meta["temperature"] if given is None else given)
