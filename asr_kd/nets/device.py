"""Where networks run: the device, the number of threads, and the fastest exact matrix product."""

from dataclasses import dataclass

import torch

from asr_kd.errors import UsageError
from asr_kd.memory import keep_freed_memory
from asr_kd.options import option

PRODUCT_SIZE = 256
LARGEST_ERROR = 5e-6


@dataclass(frozen=True, kw_only=True)
class DeviceOptions:
    """Where and how precisely to compute."""

    device: str = option("cpu or cuda (cuda:N for one of several)", default="cpu", affects_result=False)
    dtype: str = option(
        "precision of matrix products (weights stay fp32); auto is bf16 where the hardware computes it",
        default="auto",
        choices=("fp32", "bf16", "auto"),
    )
    num_threads: int = option("CPU threads; 0 leaves it to torch", default=1, affects_result=False)


def prepare(options: DeviceOptions) -> torch.device:
    """Set threads and matrix products for this process and return the device.

    Raises:
        UsageError: no such device here, or torch cannot compute on it.
    """
    if options.num_threads > 0:
        torch.set_num_threads(options.num_threads)
    try:
        device = torch.device(options.device)
    except RuntimeError as error:
        raise UsageError(f"--device {options.device}: not a device, use cpu or cuda") from error
    if device.type not in ("cpu", "cuda"):
        raise UsageError(f"--device {options.device}: use cpu or cuda")
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise UsageError(
            f"--device {options.device}: torch sees {torch.cuda.device_count()} CUDA devices here, use --device cpu"
        )
    keep_freed_memory()
    if device.type == "cpu":
        use_faster_products()
    else:
        _make_current(device)
    return device


def _make_current(device: torch.device) -> None:
    """Let what names no device, such as a clock's events, use this one, and see that it computes."""
    try:
        if device.index is not None:
            torch.cuda.set_device(device)
        _compute_on(device)
    except RuntimeError as error:
        reason = str(error).split("\n")[0]
        raise UsageError(
            f"--device {device}: torch cannot compute there ({reason}); mend that or use --device cpu"
        ) from error


def _compute_on(device: torch.device) -> None:
    """Multiply and wait: that a driver or a card is too old for this torch shows in use, not in the number of cards."""
    ones = torch.ones(2, 2, device=device)
    (ones @ ones).cpu()


def autocast(device: torch.device, dtype: str) -> torch.autocast:
    """The context of a forward pass in the given precision."""
    return torch.autocast(device.type, torch.bfloat16, enabled=is_half(device, dtype))


def is_half(device: torch.device, dtype: str) -> bool:
    """Whether products are in bf16."""
    return dtype == "bf16" or (dtype == "auto" and computes_bf16(device))


def computes_bf16(device: torch.device) -> bool:
    """Whether a device multiplies bf16 matrices in hardware; where it does not, bf16 is slower than fp32."""
    if device.type == "cuda":
        with torch.cuda.device(device):  # the current device is each thread's own
            return torch.cuda.is_bf16_supported(including_emulation=False)
    return bool(torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported())


def use_faster_products() -> bool:
    """Route fp32 products to oneDNN where a check shows that it computes them as exactly as fp32 can.

    The switch is named after bf16, and on CPUs with AMX it does compute in bf16; elsewhere it selects
    oneDNN's own fp32 kernels, up to twice as fast as the default. So it is tried, not trusted.
    """
    settings = torch.backends.mkldnn.matmul  # type: ignore[attr-defined]
    before = settings.fp32_precision
    settings.fp32_precision = "bf16"
    if _product_error() <= LARGEST_ERROR:
        return True
    settings.fp32_precision = before
    return False


def _product_error() -> float:
    """Relative error of a product of random matrices against float64."""
    generator = torch.Generator().manual_seed(0)
    a = torch.randn(PRODUCT_SIZE, PRODUCT_SIZE, generator=generator)
    b = torch.randn(PRODUCT_SIZE, PRODUCT_SIZE, generator=generator)
    exact = a.double() @ b.double()
    return float(((a @ b).double() - exact).norm() / exact.norm())
