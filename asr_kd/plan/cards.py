"""How fast a named GPU will train and run a network: a prediction from its data sheet, not a measurement.

A step's time is what it takes whatever its batch (launches, and every weight read and written several times),
plus for each frame its operations at the speed of large bf16 products and its activations through memory::

    launch * layers + weight_traffic * weights / bandwidth + B * (flops / products + activations / bandwidth)

For the paper's network on an H200 that gives .14, .39, .67 and .83 of the speed of products at B = 256, 1024, 4096
and 16,384.
"""

from dataclasses import dataclass

from asr_kd.plan.footprint import NetShape

LAUNCH_SECONDS = 25e-6  # forward, backward and update of one layer
WEIGHT_TRAFFIC_BYTES = 38  # of one weight in a step: fp32 master, gradient and Adam's moments, bf16 copies
ACTIVATION_TRAFFIC = 0.7  # of what a step holds of a frame: the rest stays in the cache
PRODUCTS_OF_SHEET = 0.79  # what large products reach of the data sheet
BANDWIDTH_OF_SHEET = 0.9
CONTEXT_BYTES = 800_000_000  # CUDA and its libraries


@dataclass(frozen=True)
class Card:
    """One GPU, from its vendor's data sheet.

    Attributes:
        bf16_tflops: dense bf16 products with fp32 sums, in TFLOP/s; half of what sheets give "with sparsity".
        memory_gb: in 10^9 bytes.
        bandwidth_gb: of its memory, in 10^9 bytes a second.
    """

    bf16_tflops: float
    memory_gb: float
    bandwidth_gb: float

    @property
    def _products(self) -> float:
        return self.bf16_tflops * 1e12 * PRODUCTS_OF_SHEET

    @property
    def _bandwidth(self) -> float:
        return self.bandwidth_gb * 1e9 * BANDWIDTH_OF_SHEET

    @property
    def memory_bytes(self) -> float:
        """What there is to hold features, targets and network."""
        return self.memory_gb * 1e9

    def step_seconds(self, net: NetShape, batch_size: int, optimizer: str, *, together: int = 1) -> float:
        """Time of one training step, of one network or of several together, each with a batch of its own."""
        weights = (
            WEIGHT_TRAFFIC_BYTES * net.num_weights / self._bandwidth + net.update_flops(optimizer) / self._products
        )
        moved = ACTIVATION_TRAFFIC * net.activation_bytes(1) / self._bandwidth
        own = weights + batch_size * (net.training_flops / self._products + moved)
        return LAUNCH_SECONDS * (net.num_layers + 1) + together * own

    def forward_seconds(self, net: NetShape) -> float:
        """Time of one frame forward, in large batches."""
        return net.forward_flops / self._products + net.activation_bytes(1) / 3 / self._bandwidth


# SXM modules where there are several. NVIDIA's data sheets, dense bf16.
CARDS = {
    "H200": Card(989, 141, 4800),
    "H100": Card(989, 80, 3350),
    "A100": Card(312, 80, 2039),
    "L40S": Card(362, 48, 864),
    "L4": Card(121, 24, 300),
    "RTX4090": Card(165, 24, 1008),
}
