"""What a small classifier of digits sees: the eyes of perceptual losses and of sample quality."""

import torch
from torch import nn
from torch.nn import functional as F

from codebase.models.nns.v1 import X_DIM, check

SIDE = 28
CHANNELS = 16, 32  # of the two convolutions
WIDTH = 64  # of the features
CLASSES = 10


class FeatureNet(nn.Module):
    """Two convolutions, a hidden layer and ten classes.

        h_1 = relu(conv x)          (16, 14, 14)   5 × 5, of stride 2
        h_2 = relu(conv h_1)        (32, 7, 7)     the same
        f   = relu(W h_2 + b)       (64,)          the features
        logits = V f + c            (10,)

    Its weights are frozen: whoever holds one has its gradient pass through it, and no player of a
    game has its weights among their own.
    """

    def __init__(self) -> None:
        super().__init__()
        first, second = CHANNELS
        self.first = nn.Conv2d(1, first, 5, stride=2, padding=2)
        self.second = nn.Conv2d(first, second, 5, stride=2, padding=2)
        self.hidden = nn.Linear(second * (SIDE // 4) ** 2, WIDTH)
        self.last = nn.Linear(WIDTH, CLASSES)
        self.requires_grad_(False)

    def maps(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """h_1 and h_2 of images in [0, 1], (…, 784) → (N, 16, 14, 14) and (N, 32, 7, 7).

        N counts the images, whatever the dimensions before the last.
        """
        check("x", x, X_DIM)
        first = F.relu(self.first(x.reshape(-1, 1, SIDE, SIDE)))
        return first, F.relu(self.second(first))

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Features and logits of images in [0, 1], (…, 784) → (…, 64) and (…, 10)."""
        _, second = self.maps(x)
        features = F.relu(self.hidden(second.flatten(1)))
        logits = self.last(features)
        return features.view(*x.shape[:-1], WIDTH), logits.view(*x.shape[:-1], CLASSES)
