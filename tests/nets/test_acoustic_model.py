"""A model survives its file, and what is damaged or belongs to something else is refused."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from asr_kd.errors import DataError, MismatchError
from asr_kd.nets.acoustic_model import (
    MODEL_FILE,
    AcousticModel,
    ModelCard,
    check_features,
    check_same_states,
    models_fingerprint,
)
from asr_kd.nets.dnn import NetOptions


def model(*, seed: int = 1, features: str = "f" * 16, states: str = "5" * 16) -> AcousticModel:
    card = ModelCard(
        net=NetOptions(num_layers=2, hidden_dim=8, dropout=0.2),
        input_dim=12,
        num_pdfs=5,
        features={"left_context": 2, "fbank": {"num_mel_bins": 3}},
        features_fingerprint=features,
        states_fingerprint=states,
        trained_on=("exp/frames/train",),
    )
    return AcousticModel(card, card.new_net(seed=seed).eval(), torch.log_softmax(torch.arange(5.0), 0))


def test_a_model_survives_its_file(tmp_path: Path) -> None:
    made = model()
    made.save(tmp_path)
    again = AcousticModel.load(tmp_path)
    assert again.card == made.card
    assert torch.equal(again.log_prior, made.log_prior)
    assert again.num_parameters == made.num_parameters
    assert not again.net.training
    x_BW = torch.randn(3, 12, generator=torch.Generator().manual_seed(0))
    assert torch.equal(again.log_posteriors(x_BW), made.log_posteriors(x_BW))
    torch.testing.assert_close(again.log_posteriors(x_BW).exp().sum(dim=1), torch.ones(3))


def test_the_fingerprint_is_that_of_the_weights(tmp_path: Path) -> None:
    fingerprints = []
    for number, seed in enumerate((1, 1, 2)):
        directory = tmp_path / str(number)
        directory.mkdir()
        model(seed=seed).save(directory)
        fingerprints.append(AcousticModel.load(directory).fingerprint)
    assert fingerprints[0] == fingerprints[1] != fingerprints[2]


def rewrite(path: Path, change: Callable[[dict[str, Any], dict[str, torch.Tensor]], object]) -> None:
    """Change the card or the tensors of a model's file."""
    with safe_open(path, framework="pt") as file:
        card = json.loads(file.metadata()["card"])
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    change(card, tensors)
    save_file(tensors, path, metadata={"card": json.dumps(card)})


DAMAGES: dict[str, Callable[[Path], object]] = {
    "missing": lambda path: path.unlink(),
    "empty": lambda path: path.write_bytes(b""),
    "cut off": lambda path: path.write_bytes(path.read_bytes()[:-10]),
    "no safetensors": lambda path: path.write_text("nothing of the kind, but long enough for a header"),
    "no card": lambda path: save_file({"log_prior": torch.zeros(5)}, path),
    "no prior": lambda path: rewrite(path, lambda _, tensors: tensors.pop("log_prior")),
    "a layer missing": lambda path: rewrite(path, lambda _, tensors: tensors.pop("net.layers.0.weight")),
    "of another shape": lambda path: rewrite(path, lambda card, _: card.update(num_pdfs=6)),
    "an unknown option": lambda path: rewrite(path, lambda card, _: card["net"].update(highway=True)),
    "an unknown line on the card": lambda path: rewrite(path, lambda card, _: card.update(teacher="x")),
    "a line of the card missing": lambda path: rewrite(path, lambda card, _: card.pop("input_dim")),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_file_is_an_error_that_names_it(tmp_path: Path, damage: str) -> None:
    model().save(tmp_path)
    DAMAGES[damage](tmp_path / MODEL_FILE)
    with pytest.raises(DataError, match=str(tmp_path / MODEL_FILE)) as error:
        AcousticModel.load(tmp_path)
    assert "\n" not in str(error.value)


def test_other_features_are_a_mismatch_that_names_both_sides() -> None:
    check_features(model(), "f" * 16, model_path=Path("exp/member"), store_path=Path("exp/frames/dev"))
    with pytest.raises(MismatchError) as error:
        check_features(model(), "e" * 16, model_path=Path("exp/member"), store_path=Path("exp/frames/dev"))
    for part in ("exp/member", "f" * 16, "exp/frames/dev", "e" * 16):
        assert part in str(error.value)


def test_other_states_are_a_mismatch_that_names_both_sides() -> None:
    check_same_states({Path("a"): model(), Path("b"): model(seed=2)})
    with pytest.raises(MismatchError) as error:
        check_same_states({Path("exp/a"): model(), Path("exp/b"): model(states="6" * 16)})
    for part in ("exp/a", "5" * 16, "exp/b", "6" * 16):
        assert part in str(error.value)


def test_an_ensembles_fingerprint_does_not_depend_on_the_order_of_its_members() -> None:
    one, two, three = (AcousticModel(model().card, model().net, torch.zeros(5), fingerprint=f) for f in "abc")
    assert models_fingerprint({Path("x"): one, Path("y"): two}) == models_fingerprint({Path("u"): two, Path("v"): one})
    assert models_fingerprint({Path("x"): one, Path("y"): two}) != models_fingerprint(
        {Path("x"): one, Path("y"): three}
    )
