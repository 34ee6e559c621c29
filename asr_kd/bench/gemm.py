"""The limit of a network's step: the fastest product of matrices of a dtype, over several shapes.

Legend: B frames of a batch, W width of a window, H hidden units, P pdfs.
"""

from collections.abc import Callable, Mapping

import torch

from asr_kd.bench.clock import Rounds

SQUARE = (2048, 2048, 2048)
DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16}
Shape = tuple[int, int, int]


def net_shapes(batch: int, width: int, hidden: int, num_pdfs: int) -> set[Shape]:
    """Rows, inner and columns of the products that a network's forward pass consists of, and a square one."""
    return {(batch, width, hidden), (batch, hidden, hidden), (batch, hidden, num_pdfs), SQUARE}


def products(shapes: set[Shape], dtype: str, device: torch.device) -> dict[str, Callable[[], object]]:
    """Variants for `asr_kd.bench.clock.interleave`, one product of each shape."""
    return {_name(shape, dtype): _product(shape, DTYPES[dtype], device) for shape in sorted(shapes)}


def best_rate(run: Rounds, shapes: set[Shape], dtype: str) -> tuple[str, float]:
    """The fastest of the products: its variant's name and the FLOP of one call."""
    shape = max(shapes, key=lambda one: flops(one) / run.median(_name(one, dtype)))
    return _name(shape, dtype), flops(shape)


def share_of_best(run: Rounds, variant: str, work: float, best: tuple[str, float]) -> float:
    """A variant's FLOP/s over the best product's, in 0..1: the median of the rounds' ratios.

    Args:
        work: FLOP of one call of the variant.
    """
    name, flop = best
    return work / flop * run.ratio(name, variant)


def flops(shape: Shape) -> float:
    """Of one product: an addition and a multiplication each."""
    rows, inner, columns = shape
    return 2.0 * rows * inner * columns


def forward_flops(width: int, hidden: int, num_layers: int, num_pdfs: int) -> float:
    """Of one frame through a network."""
    return 2.0 * (width * hidden + (num_layers - 1) * hidden * hidden + hidden * num_pdfs)


def training_flops(width: int, hidden: int, num_layers: int, num_pdfs: int) -> float:
    """Of one frame in training: forward, gradient of the weights, gradient of all inputs but the first layer's."""
    return 3 * forward_flops(width, hidden, num_layers, num_pdfs) - 2.0 * width * hidden


def _product(shape: Shape, dtype: torch.dtype, device: torch.device) -> Callable[[], object]:
    rows, inner, columns = shape
    generator = torch.Generator().manual_seed(0)
    left = torch.randn(rows, inner, generator=generator).to(device, dtype)
    right = torch.randn(inner, columns, generator=generator).to(device, dtype)
    out = torch.empty(rows, columns, dtype=dtype, device=device)
    return lambda: torch.mm(left, right, out=out)


def _name(shape: Shape, dtype: str) -> str:
    return f"product {dtype} {'x'.join(map(str, shape))}"


def gflops(run: Rounds, best: tuple[str, float]) -> float:
    """The best product's GFLOP/s."""
    name, flop = best
    return flop / run.median(name) / 1e9


def variants_of(names: Mapping[str, set[Shape]], device: torch.device) -> dict[str, Callable[[], object]]:
    """The products of several dtypes."""
    return {name: call for dtype, shapes in names.items() for name, call in products(shapes, dtype, device).items()}
