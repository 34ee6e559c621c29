"""A trained specialist on disk: its network, and ``specialist.json``, which says what its outputs stand for.

Legend: B frames of a batch, W width of a window, C classes of a specialist.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from asr_kd.errors import DataError, MismatchError
from asr_kd.frames.store import FrameStore
from asr_kd.nets.acoustic_model import AcousticModel, check_features
from asr_kd.specialists.subset import Subset
from asr_kd.stage import write_json

SPECIALIST_FILE = "specialist.json"
DUSTBIN, REGULARIZED = "dustbin", "regularized"  # what its outputs beside the subset's are: one, or all other states


class Specialist:
    """A specialist's network and its classes.

    Attributes:
        meta: what `write_card` wrote.
    """

    def __init__(self, path: Path, model: AcousticModel, subset: Subset, meta: dict[str, Any]) -> None:
        self.path, self.model, self.subset, self.meta = path, model, subset, meta

    @property
    def kind(self) -> str:
        """`DUSTBIN` or `REGULARIZED`."""
        return str(self.meta["kind"])

    @property
    def states_fingerprint(self) -> str:
        """Identifies the states of the generalist, of which the subset is a part."""
        return str(self.meta["states_fingerprint"])

    @torch.inference_mode()
    def log_posteriors(self, x_BW: Tensor) -> Tensor:
        """Log posteriors ``[B, C]`` of the subset's states and, last, the dustbin."""
        logp_BC = self.model.log_posteriors(x_BW)
        return logp_BC if self.kind == DUSTBIN else self.subset.collapse(logp_BC)

    @staticmethod
    def load(path: Path) -> "Specialist":
        """Read a specialist's directory.

        Raises:
            DataError: there is none, or it is damaged.
        """
        file = path / SPECIALIST_FILE
        model = AcousticModel.load(path)
        try:
            meta = json.loads(file.read_text(encoding="utf-8"))
            subset = Subset(tuple(map(int, meta["subset"])), int(meta["num_pdfs"]))
            expected = subset.fingerprint(meta["states_fingerprint"], kind=meta["kind"])
        except FileNotFoundError as error:
            raise DataError(f"{path}: a model, but not a specialist; make one with asr-kd train-specialist") from error
        except (OSError, KeyError, ValueError, TypeError) as error:
            raise DataError(f"{file}: damaged ({error}); remove {path} and make it anew") from error
        if model.card.states_fingerprint != expected:
            raise DataError(f"{path}: its network is not that of {SPECIALIST_FILE}; remove it and make it anew")
        return Specialist(path, model, subset, meta)


def write_card(
    directory: Path, subset: Subset, *, kind: str, states_fingerprint: str, generalist: AcousticModel, ratio: float
) -> None:
    """Write ``specialist.json`` beside a specialist's network.

    Args:
        ratio: how much more often a frame of the subset was trained on than another.
    """
    meta = {
        "kind": kind,
        "subset": list(subset.pdfs),
        "num_pdfs": subset.num_pdfs,
        "states_fingerprint": states_fingerprint,
        "generalist_fingerprint": generalist.fingerprint,
        "oversampling": ratio,
    }
    write_json(directory / SPECIALIST_FILE, meta)


def load_specialists(
    paths: Sequence[Path], store: FrameStore, *, states_fingerprint: str, device: torch.device, dtype: str = "fp32"
) -> list[Specialist]:
    """Load specialists that score a frame store beside a generalist.

    Args:
        states_fingerprint: of the generalist.
        dtype: precision of products, as in `asr_kd.nets.device.DeviceOptions`.

    Raises:
        MismatchError: made for other features or states.
    """
    found = [Specialist.load(path) for path in paths]
    for specialist in found:
        check_features(specialist.model, store.features_fingerprint, model_path=specialist.path, store_path=store.path)
        if specialist.states_fingerprint != states_fingerprint:
            raise MismatchError(
                f"{specialist.path} is a specialist for the states {specialist.states_fingerprint}, the generalist "
                f"predicts the states {states_fingerprint}: use the generalist it was made from"
            )
        specialist.model.to(device, dtype)
    return found
