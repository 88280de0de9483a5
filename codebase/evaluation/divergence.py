"""Whether a training has diverged, which is not to be called a collapse."""

import math


def diverged(nelbo: float, pixels: int) -> bool:
    """Whether binary pixels cost more than twice what they would at the toss of a coin each.

    That is 2 · D log 2 nats an image, 1,087 of MNIST's 784 pixels. A model that has learned
    nothing yet is near D log 2.

    Args:
        nelbo: nats an image.
        pixels: D.
    """
    return not nelbo <= 2 * pixels * math.log(2)
