"""The device, and matrix products that are as exact as fp32 can be."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import torch

from asr_kd.errors import UsageError
from asr_kd.nets import device as device_module
from asr_kd.nets.device import (
    LARGEST_ERROR,
    DeviceOptions,
    autocast,
    computes_bf16,
    prepare,
    use_faster_products,
)


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


@pytest.fixture
def two_cards(monkeypatch: pytest.MonkeyPatch) -> list[torch.device]:
    """Makes torch believe in two cards that compute; the list holds what was made the current one."""
    chosen: list[torch.device] = []
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "set_device", chosen.append)
    monkeypatch.setattr(device_module, "_compute_on", lambda device: None)
    return chosen


@pytest.mark.parametrize("named", ["cuda", "cuda:0", "cuda:1"])
def test_the_card_that_is_named_becomes_the_current_one(two_cards: list[torch.device], named: str) -> None:
    device = prepare(DeviceOptions(device=named))
    assert device == torch.device(named)
    assert two_cards == ([device] if ":" in named else [])


@pytest.mark.usefixtures("two_cards")
def test_a_card_that_cannot_compute_is_wrong_usage_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(device: torch.device) -> None:
        raise torch.AcceleratorError("CUDA error: no kernel image is available for execution on the device\nmore lines")

    monkeypatch.setattr(device_module, "_compute_on", fail)
    with pytest.raises(UsageError) as error:
        prepare(DeviceOptions(device="cuda:1"))
    (line,) = str(error.value).splitlines()
    for part in ("--device cuda:1", "no kernel image is available", "--device cpu"):
        assert part in line


@pytest.mark.skipif(
    torch.version.cuda is None or torch.cuda.is_available(), reason="torch knows no CUDA, or has a card to compute on"
)
def test_a_card_without_a_driver_for_this_torch_is_wrong_usage(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    with pytest.raises(UsageError, match=r"--device cuda: torch cannot compute there .*NVIDIA driver"):
        prepare(DeviceOptions(device="cuda"))


def test_each_card_is_asked_for_bf16_itself_and_not_the_current_one(monkeypatch: pytest.MonkeyPatch) -> None:
    current = [torch.device("cuda:0")]

    @contextmanager
    def made_current(device: torch.device) -> Iterator[None]:
        current.append(device)
        yield
        current.pop()

    monkeypatch.setattr(torch.cuda, "device", made_current)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation: current[-1].index == 1)
    assert [computes_bf16(torch.device(f"cuda:{index}")) for index in (0, 1)] == [False, True]
