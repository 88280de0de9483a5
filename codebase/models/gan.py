"""Generative adversarial networks (Goodfellow et al., 2014)."""

import torch
from torch import nn

from codebase.models import adversarial
from codebase.models.base import Abilities, Loss, Model
from codebase.models.nns.v1 import X_DIM, check, check_size


class GAN(Model):
    """A generator of images against a discriminator that tells them from the data.

        z ~ N(0, I)                                           (Z,)
        x̃ = σ(gen(z))                                         (D,), grey
        D(x) = σ(dis(x)), that x is of the data

        dis minimizes  −E log D(x) − E log(1 − D(x̃))
        gen minimizes  −E log D(x̃), or in the minimax game E log(1 − D(x̃))

    The generator's hidden units are normalized over the batch in training, and by averages of
    training otherwise. It has no density, so nothing bounds log p(x), and it gives no image a code.
    With the best D the value E log D(x) + E log(1 − D(x̃)) is 2 JSD(data ‖ drawn) − 2 log 2.

    Args:
        name: names the checkpoint folder.
        z_dim: Z.
        game: "non-saturating" or "minimax".
        net: of both, "mlp" or "conv".
        hidden: width of an mlp's hidden layers.
        dropout: see `adversarial.Discriminator`.
        x_dim: D.
    Raises:
        ValueError: a size < 1, a dropout outside of [0, 1], no such game or networks, or
            convolutions and images whose sides 4 does not divide.
    """

    abilities = Abilities("grey", samples=True)
    betas = 0.5, 0.999  # the game turns: less momentum (Radford et al., 2016)

    def __init__(
        self,
        name: str = "gan",
        z_dim: int = 64,
        game: str = "non-saturating",
        net: str = "mlp",
        hidden: int = 300,
        dropout: float = 0.3,
        x_dim: int = X_DIM,
    ) -> None:
        check_size("z_dim", z_dim)
        check_size("hidden", hidden)
        adversarial.check_game(game, net)
        super().__init__(name)
        self.z_dim, self.x_dim, self.game = z_dim, x_dim, game
        self.generator = adversarial.generator(net, z_dim, x_dim, hidden, normalized=True)
        self.discriminator = adversarial.Discriminator(net, x_dim, hidden, dropout)

    def players(self) -> dict[str, list[nn.Parameter]]:
        return {
            "discriminator": list(self.discriminator.parameters()),
            "generator": list(self.generator.parameters()),
        }

    def draw(self, z: torch.Tensor) -> torch.Tensor:
        """Images of latents, (N, Z) → (N, D) in [0, 1]."""
        check("z", z, self.z_dim)
        return torch.sigmoid(self.generator(z).to(z.dtype))

    def loss(self, x: torch.Tensor, player: str = "discriminator") -> Loss:
        """What a player minimizes, a scalar, with as many images drawn as there are.

        Args:
            x: (B, D).
            player: "discriminator" or "generator".
        """
        check("x", x, self.x_dim)
        z = torch.randn(len(x), self.z_dim, dtype=x.dtype, device=x.device)
        if player == "generator":
            loss = adversarial.generator_loss(self.discriminator(self.draw(z)), self.game)
            return loss, {"gan/generator": loss}
        with torch.no_grad():
            drawn = self.draw(z)
        of_real, of_drawn = self.discriminator(torch.cat([x, drawn])).split(len(x))
        loss = adversarial.discriminator_loss(of_real, of_drawn)
        says = {"gan/d_real": of_real.sigmoid().mean(), "gan/d_drawn": of_drawn.sigmoid().mean()}
        return loss, {"gan/discriminator": loss} | says

    def sample_z(self, batch: int) -> torch.Tensor:
        """Latents, (batch, Z)."""
        if batch < 1:
            raise ValueError(f"batch must be at least 1, got {batch}")
        like = next(self.generator.parameters())
        return torch.randn(batch, self.z_dim, dtype=like.dtype, device=like.device)

    def sample_x(self, batch: int) -> torch.Tensor:
        """Images, (batch, D) in [0, 1]."""
        return self.draw(self.sample_z(batch))
