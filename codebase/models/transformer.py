"""A small transformer over patches of binary pixels (Vaswani et al., 2017; Chen et al., 2020)."""

from collections.abc import Callable
from typing import cast

import torch
from torch import nn
from torch.nn import functional as F

from codebase.models.autoregressive import Autoregressive
from codebase.models.nns.v1 import X_DIM, check, check_size
from codebase.sides import side_of

Past = tuple[torch.Tensor, torch.Tensor]  # keys and values of the places before, (B, heads, T, C)


def attention(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, causal: bool) -> torch.Tensor:
    """softmax(q kᵀ / √C) v, (…, T, C), (…, S, C) twice → (…, T, C); causal: S = T, none later seen.

    Written out, for the gradient of torch's own takes a CPU ten times as long in bf16.
    """
    scores = (q * q.shape[-1] ** -0.5) @ k.transpose(-2, -1)  # (…, T, S)
    if causal:
        scores = scores + scores.new_full(scores.shape[-2:], -torch.inf).triu(1)
    return scores.softmax(-1) @ v


class Block(nn.Module):
    """Attention to the places up to one's own, and an MLP; each is added to what comes in.

    Args:
        width: C.
        heads: of the attention; they divide the width.
    """

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.before, self.between = nn.LayerNorm(width), nn.LayerNorm(width)
        self.asked = nn.Linear(width, 3 * width)
        self.out = nn.Linear(width, width)
        self.mlp = nn.Sequential(
            nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width)
        )

    def forward(self, h: torch.Tensor, past: Past | None = None) -> tuple[torch.Tensor, Past]:
        """The next places (B, T, C) and what was handed back of those before → the same of all.

        With a past T is 1.
        """
        q, k, v = (
            t.unflatten(-1, (self.heads, -1)).transpose(-2, -3)
            for t in self.asked(self.before(h)).chunk(3, dim=-1)
        )
        if past is not None:
            k, v = torch.cat([past[0], k], dim=-2), torch.cat([past[1], v], dim=-2)
        seen = attention(q, k, v, causal=past is None)
        h = h + self.out(seen.transpose(-2, -3).flatten(-2))
        return h + self.mlp(self.between(h)), (k, v)


class Transformer(Autoregressive):
    """p(x) = Π_i p(t_i | t_<i), t_i one of 2^(P·P) patches of P × P pixels, row by row.

    Place i is given a learned start symbol (i = 0) or the patch before it, and attends to places
    0 … i, so that it knows t_<i and not t_i; it says log probabilities of every patch. The pixels
    of a patch are drawn together.

    Args:
        name: names the checkpoint folder.
        width: C, of what a place knows.
        layers: blocks.
        heads: of their attention.
        patch: P.
        x_dim: D, a square.
    Raises:
        ValueError: a size < 1, heads that do not divide the width, images that are not square, or
            patches that do not fill them or are larger than 3 × 3.
    """

    powers: torch.Tensor

    def __init__(
        self,
        name: str = "transformer",
        width: int = 64,
        layers: int = 3,
        heads: int = 4,
        patch: int = 2,
        x_dim: int = X_DIM,
    ) -> None:
        for size, value in (("width", width), ("layers", layers), ("heads", heads)):
            check_size(size, value)
        if width % heads:
            raise ValueError(f"{heads} heads do not divide a width of {width}")
        side = side_of(x_dim)
        if not 1 <= patch <= 3 or side % patch:
            raise ValueError(
                f"patch is 1, 2 or 3 and divides the image's side, {side}; got {patch}"
            )
        super().__init__(name)
        self.x_dim, self.patch, self.across = x_dim, patch, side // patch
        self.parts, self.kinds = self.across**2, 2 ** (patch * patch)
        self.start = nn.Parameter(torch.randn(width) / width**0.5)
        self.patches = nn.Embedding(self.kinds, width)
        self.places = nn.Parameter(0.02 * torch.randn(self.parts, width))
        self.blocks = nn.ModuleList(Block(width, heads) for _ in range(layers))
        self.last = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, self.kinds))
        powers = 2 ** torch.arange(patch * patch)
        self.register_buffer("powers", powers, persistent=False)

    def tokens(self, x: torch.Tensor) -> torch.Tensor:
        """The patches' numbers, Σ_j 2^j x_j over a patch's pixels: (B, D) → (B, parts) of int64."""
        check("x", x, self.x_dim)
        return (self._cut(x).long() * self.powers).sum(-1)

    def log_probs(self, tokens: torch.Tensor) -> torch.Tensor:
        """log p(t_i = · | t_<i): (B, parts) of int64 → (B, parts, kinds)."""
        h = self.patches(tokens[:, :-1])
        first = self.start.expand(len(tokens), 1, -1)
        return self._told(torch.cat([first, h], dim=1) + self.places, None)[0]

    def log_prob(self, x: torch.Tensor) -> torch.Tensor:
        tokens = self.tokens(x)
        return self.log_probs(tokens).gather(-1, tokens.unsqueeze(-1)).sum((-1, -2))

    def drawer(self, x: torch.Tensor) -> Callable[[int], None]:
        """Keeps what the blocks hand back of the places before: a patch costs one place."""
        tokens = self.tokens(x)
        first = self.start.expand(len(x), 1, -1)
        a, p = self.across, self.patch
        pixels = x.view(-1, a, p, a, p)
        done, past = 0, None

        def draw(i: int) -> None:
            nonlocal done, past
            h = torch.cat([first, self.patches(tokens)], dim=1)[:, done : i + 1]
            log_p, past = self._told(h + self.places[done : i + 1], past)
            drawn = torch.multinomial(log_p[:, -1].exp(), 1)
            tokens[:, i], done = drawn[:, 0], i + 1
            bits = (drawn // self.powers % 2).to(x)
            pixels[:, i // a, :, i % a] = bits.view(-1, p, p)

        return draw

    def _cut(self, x):
        """(B, D) → (B, parts, P·P)."""
        a, p = self.across, self.patch
        return x.reshape(-1, a, p, a, p).transpose(2, 3).reshape(-1, a * a, p * p)

    def _told(self, h, past):
        """Log probabilities at the next places, and what is kept of each block."""
        kept = []
        for i, block in enumerate(cast("list[Block]", self.blocks)):
            h, of_block = block(h, past[i] if past else None)
            kept.append(of_block)
        return F.log_softmax(self.last(h).to(self.start.dtype), dim=-1), kept
