"""Images shifted at random, up to a few pixels each way: the paper's "jitter" (Hinton et al. 2015, section 3).

Legend: B images, D pixels, S shifts.
"""

import torch
from torch import Tensor
from torch.nn import functional


class Jitter:
    """Shifts every image of a batch by draws of its own, down and across; what is shifted in is 0.

    Args:
        image: rows and columns.
        pixels: the largest shift.
    """

    def __init__(self, image: tuple[int, int], pixels: int) -> None:
        self._pad, self._image = pixels, image
        rows, columns = image
        wide = columns + 2 * pixels
        steps = torch.arange(2 * pixels + 1)
        starts_S = (steps[:, None] * wide + steps[None, :]).flatten()
        places_D = (torch.arange(rows)[:, None] * wide + torch.arange(columns)[None, :]).flatten()
        self._places_SD = starts_S[:, None] + places_D[None, :]

    def __call__(self, inputs_BD: Tensor, *, seed: int) -> Tensor:
        """The images ``[B, D]`` shifted; the shifts depend on ``seed`` alone, and on the kind of device."""
        device = inputs_BD.device
        generator = torch.Generator(device).manual_seed(seed)
        shifts_B = torch.randint(len(self._places_SD), (len(inputs_BD),), generator=generator, device=device)
        images = inputs_BD.view(-1, *self._image)
        padded_BD = functional.pad(images, (self._pad, self._pad, self._pad, self._pad)).flatten(1)
        self._places_SD = self._places_SD.to(device)
        return padded_BD.gather(1, self._places_SD[shifts_B])
