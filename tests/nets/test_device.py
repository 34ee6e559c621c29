"""The device, and matrix products that are as exact as fp32 can be."""

import pytest
import torch

from asr_kd.errors import UsageError
from asr_kd.nets.device import LARGEST_ERROR, DeviceOptions, autocast, prepare, use_faster_products


def product_error(size: int) -> float:
    generator = torch.Generator().manual_seed(3)
    a, b = torch.randn(2, size, size, generator=generator)
    exact = a.double() @ b.double()
    return float(((a @ b).double() - exact).norm() / exact.norm())


def test_products_stay_exact_whether_or_not_the_faster_ones_are_used() -> None:
    use_faster_products()
    assert product_error(300) <= 2 * LARGEST_ERROR


def test_products_that_are_not_exact_are_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = torch.backends.mkldnn.matmul  # type: ignore[attr-defined]
    before = settings.fp32_precision
    try:
        settings.fp32_precision = "ieee"
        monkeypatch.setattr("asr_kd.nets.device._product_error", lambda: 1e-3)
        assert not use_faster_products()
        assert settings.fp32_precision == "ieee"
    finally:
        settings.fp32_precision = before


def test_precision_is_what_was_asked_for() -> None:
    layer, x = torch.nn.Linear(4, 4), torch.ones(2, 4)
    cpu = torch.device("cpu")
    with autocast(cpu, "bf16"):
        assert layer(x).dtype == torch.bfloat16
    with autocast(cpu, "fp32"):
        assert layer(x).dtype == torch.float32


@pytest.mark.parametrize("device", ["gpu", "meta", "cuda:99"])
def test_a_device_that_is_not_there_is_wrong_usage(device: str) -> None:
    with pytest.raises(UsageError, match=f"--device {device}"):
        prepare(DeviceOptions(device=device))
