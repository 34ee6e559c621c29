"""A network cast to bf16 once scores as under autocast, and its logits are not rounded."""

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from asr_kd.nets.acoustic_model import AcousticModel, ModelCard, input_dtype
from asr_kd.nets.device import autocast
from asr_kd.nets.dnn import DNN, NetOptions
from asr_kd.nets.half import HalfDNN

CPU = torch.device("cpu")
GPU = torch.device("meta")  # stands for one: what lies there has a shape and a dtype, but no values
OPTIONS = NetOptions(num_layers=3, hidden_dim=24, dropout=0.2)


def windows(rows: int = 200) -> Tensor:
    return torch.randn(rows, 10, generator=torch.Generator().manual_seed(0))


def wide_net() -> DNN:
    """With logits far above 16."""
    net = DNN(10, 7, OPTIONS, seed=3).eval()
    with torch.no_grad():
        net.layers[-1].weight *= 50
        net.layers[-1].bias += 20
    return net


@torch.inference_mode()
def test_logits_are_those_of_autocast_before_they_are_rounded(monkeypatch: pytest.MonkeyPatch) -> None:
    # What a GPU's product does: factors in bf16, sums in fp32.
    monkeypatch.setattr(torch, "mm", lambda a, b, out_dtype: a.to(out_dtype) @ b.to(out_dtype))
    net, x_BW = wide_net(), windows()
    exact = net.double()(x_BW.double())
    with autocast(CPU, "bf16"):
        rounded = net.float()(x_BW).float()
    found = HalfDNN(net, keep_sums=True).logits(x_BW)
    assert found.dtype == torch.float32
    torch.testing.assert_close(found.bfloat16().float(), rounded, rtol=2**-7, atol=0.05)
    assert (found != found.bfloat16().float()).double().mean() > 0.9
    assert (found - exact).norm() < (rounded - exact).norm()


class Casts(TorchDispatchMode):
    """Counts what is turned into bf16."""

    def __init__(self) -> None:
        super().__init__()
        self.shapes: list[tuple[int, ...]] = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):  # type: ignore[no-untyped-def]
        result = func(*args, **(kwargs or {}))
        if args[0].dtype == torch.float32 and result.dtype == torch.bfloat16:
            self.shapes.append(tuple(result.shape))
        return result


@torch.inference_mode()
def test_on_the_cpu_logits_are_those_of_autocast() -> None:
    net, x_BW = wide_net(), windows()
    with autocast(CPU, "bf16"):
        expected = net(x_BW).float()
    assert torch.equal(HalfDNN(net, keep_sums=False).logits(x_BW), expected)


def test_windows_stay_exact_for_models_of_which_one_needs_them_so() -> None:
    card = ModelCard(
        net=OPTIONS, input_dim=10, num_pdfs=7, features={}, features_fingerprint="f", states_fingerprint="s"
    )
    half, exact = (
        AcousticModel(card, card.new_net(seed=1).eval(), torch.zeros(7)).to(CPU, dtype) for dtype in ("bf16", "fp32")
    )
    assert input_dtype([half, half]) == torch.bfloat16
    assert input_dtype([half, exact]) == input_dtype([exact]) == torch.float32


@pytest.mark.parametrize("device", [CPU, GPU], ids=str)
def test_scoring_casts_its_input_and_no_weight(device: torch.device) -> None:
    card = ModelCard(
        net=OPTIONS, input_dim=10, num_pdfs=7, features={}, features_fingerprint="f", states_fingerprint="s"
    )
    model = AcousticModel(card, card.new_net(seed=1).eval(), torch.zeros(7)).to(device, "bf16")
    x_BW = windows().to(device)
    with Casts() as casts:
        logits_BP = model.logits(x_BW)
    assert (logits_BP.shape, logits_BP.dtype, logits_BP.device) == ((200, 7), torch.float32, device)
    assert casts.shapes == [(200, 10)]
    rounded_BW = x_BW.to(model.input_dtype)
    with Casts() as casts:
        again_BP = model.logits(rounded_BW)
    assert device == GPU or torch.equal(again_BP, logits_BP)
    assert casts.shapes == []
    assert all(parameter.dtype == torch.float32 for parameter in model.net.parameters())
