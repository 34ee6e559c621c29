"""An acoustic model: a network, the prior of its states, and what it must be fed.

Legend: B frames of a batch, W width of a window, P pdfs.
"""

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from asr_kd.errors import DataError, MismatchError
from asr_kd.nets.device import is_half
from asr_kd.nets.dnn import DNN, NetOptions, num_parameters
from asr_kd.nets.half import HalfDNN
from asr_kd.stage import digest, file_sha256, replacing

MODEL_FILE = "model.safetensors"


@dataclass(frozen=True, kw_only=True)
class ModelCard:
    """What a model's file says about itself.

    Args:
        features: how its input is made (options of filter banks, normalisation and context).
        features_fingerprint: identifies that.
        states_fingerprint: identifies the inventory of HMM states that its outputs stand for.
        trained_on: names of the frame stores.
    """

    net: NetOptions
    input_dim: int
    num_pdfs: int
    features: dict[str, Any]
    features_fingerprint: str
    states_fingerprint: str
    trained_on: tuple[str, ...] = ()

    @property
    def image(self) -> tuple[int, int] | None:
        """Rows and columns of the images it was trained on; None where it was trained on speech."""
        return tuple(self.features["image"]) if "image" in self.features else None

    def new_net(self, *, seed: int) -> DNN:
        """A freshly initialised network of this shape."""
        return DNN(self.input_dim, self.num_pdfs, self.net, seed=seed)


class AcousticModel:
    """A trained network with its card and the log prior ``[P]`` of its states."""

    def __init__(self, card: ModelCard, net: DNN, log_prior: Tensor, *, fingerprint: str = "") -> None:
        self.card = card
        self.net = net
        self.log_prior = log_prior
        self.fingerprint = fingerprint
        self._half: HalfDNN | None = None

    @property
    def num_parameters(self) -> int:
        """Weights of the network."""
        return num_parameters(self.net)

    @torch.inference_mode()
    def log_posteriors(self, x_BW: Tensor) -> Tensor:
        """Log posteriors ``[B, P]`` at temperature 1, float32."""
        return torch.log_softmax(self.logits(x_BW), dim=1)

    @torch.inference_mode()
    def logits(self, x_BW: Tensor) -> Tensor:
        """Logits ``[B, P]``, float32."""
        if self._half is not None:
            return self._half.logits(x_BW)
        logits_BP: Tensor = self.net(x_BW)
        return logits_BP

    def to(self, device: torch.device, dtype: str = "fp32") -> "AcousticModel":
        """Move network and prior to a device; ``dtype`` is the precision of products, as in `DeviceOptions`.

        In bf16 it scores with the weights that the network has now.
        """
        self.net.to(device)
        self.log_prior = self.log_prior.to(device)
        self._half = HalfDNN(self.net, keep_sums=device.type != "cpu") if is_half(device, dtype) else None
        return self

    @property
    def input_dtype(self) -> torch.dtype:
        """What windows are cast to before anything is done with them."""
        return torch.float32 if self._half is None else torch.bfloat16

    def save(self, directory: Path) -> None:
        """Write ``model.safetensors``, whole or not at all."""
        tensors = {f"net.{name}": value.detach().cpu().contiguous() for name, value in self.net.state_dict().items()}
        tensors["log_prior"] = self.log_prior.detach().cpu().float()
        with replacing(directory / MODEL_FILE) as temporary:
            save_file(tensors, temporary, metadata={"card": json.dumps(asdict(self.card))})

    @staticmethod
    def load(directory: Path) -> "AcousticModel":
        """Read a model's directory; the network is in evaluation mode on the CPU.

        Raises:
            DataError: no model there, or a damaged file.
        """
        path = directory / MODEL_FILE
        try:
            with safe_open(path, framework="pt") as file:
                values = json.loads((file.metadata() or {})["card"])
                tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            values["net"] = NetOptions(**values["net"])
            values["trained_on"] = tuple(values["trained_on"])
            card = ModelCard(**values)
            net = card.new_net(seed=0)
            net.load_state_dict({k.removeprefix("net."): v for k, v in tensors.items() if k.startswith("net.")})
            log_prior = tensors["log_prior"]
        except FileNotFoundError as error:
            raise DataError(f"{path}: no such model; make it with asr-kd train or asr-kd distill") from error
        except (SafetensorError, KeyError, ValueError, TypeError, RuntimeError) as error:
            reason = str(error).replace("\n", " ")
            raise DataError(f"{path}: damaged or not a model of this asr_kd ({reason}); make it anew") from error
        return AcousticModel(card, net.eval(), log_prior, fingerprint=file_sha256(path)[:16])


def input_dtype(models: Iterable[AcousticModel]) -> torch.dtype:
    """The one in which windows can be given to all of several models."""
    found = {model.input_dtype for model in models}
    return found.pop() if len(found) == 1 else torch.float32


def check_features(model: AcousticModel, features_fingerprint: str, *, model_path: Path, store_path: Path) -> None:
    """Check that a frame store's features are the ones a model was trained on.

    Raises:
        MismatchError: they are not.
    """
    if model.card.features_fingerprint != features_fingerprint:
        raise MismatchError(
            f"{model_path} was trained on features {model.card.features_fingerprint}, but {store_path} holds "
            f"features {features_fingerprint}: make the frame store with the model's options"
        )


def check_states(model: AcousticModel, states_fingerprint: str, *, model_path: Path, other_path: Path) -> None:
    """Check that a model predicts the states that a lang directory, a graph or labels are of.

    Raises:
        MismatchError: it does not.
    """
    if model.card.states_fingerprint != states_fingerprint:
        raise MismatchError(
            f"{model_path} predicts the states {model.card.states_fingerprint}, {other_path} is of the states "
            f"{states_fingerprint}: make both from one lang directory"
        )


def check_same_states(models: dict[Path, AcousticModel]) -> None:
    """Check that models predict the states of one inventory, so that their outputs can be averaged.

    Raises:
        MismatchError: two of them do not.
    """
    first_path, first = next(iter(models.items()))
    for path, model in models.items():
        if model.card.states_fingerprint != first.card.states_fingerprint:
            raise MismatchError(
                f"{path} predicts the states {model.card.states_fingerprint}, {first_path} the states "
                f"{first.card.states_fingerprint}: an ensemble must share one state inventory"
            )


def models_fingerprint(models: dict[Path, AcousticModel]) -> str:
    """16 hex digits that identify a set of models, in whatever order they are named."""
    return digest(sorted(model.fingerprint for model in models.values()))
