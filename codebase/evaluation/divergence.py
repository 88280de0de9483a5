"""Whether a training has diverged, which is not to be called a collapse."""

import math


def diverged(nelbo: float, pixels: int, levels: int = 2) -> bool:
    """Whether pixels cost more than twice what they would if every level were as likely.

    That is 2 · D log 2 nats an image of binary pixels, 1,087 of MNIST's 784. A model that has
    learned nothing yet is near D log 2.

    Args:
        nelbo: nats an image.
        pixels: D.
        levels: of a pixel.
    """
    return not nelbo <= 2 * pixels * math.log(levels)
