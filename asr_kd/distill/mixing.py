"""Training inputs mixed two by two ("mixup": Zhang et al. 2018), for teachers that answer the mixtures.

Legend: B frames of a batch, W width of a window.
"""

import torch
from torch import Tensor


def mix(inputs_BW: Tensor, *, seed: int) -> Tensor:
    """Each window ``[B, W]`` mixed with one of the batch drawn at random, of which it gets at most half.

    ``w x_i + (1 - w) x_j``, w uniform in [1/2, 1], j a permutation of the batch: few windows stay alone. Any two
    frames are as likely to be mixed one way as the other: this is a uniform w in [0, 1], and yet frame i is the larger
    part. What is drawn depends on ``seed`` alone, and on the kind of device.
    """
    generator = torch.Generator(inputs_BW.device).manual_seed(seed)
    others_B = torch.randperm(len(inputs_BW), generator=generator, device=inputs_BW.device)
    draws_B = torch.rand(len(inputs_BW), 1, generator=generator, device=inputs_BW.device)
    return inputs_BW.lerp(inputs_BW[others_B], (draws_B / 2).to(inputs_BW.dtype))
