"""A VAE whose decoder is a GAN's generator (Larsen et al., 2016)."""

import torch
from torch import nn

from codebase.models import adversarial
from codebase.models.base import Abilities, LatentVariableModel, Loss
from codebase.models.distributions import DiagonalGaussian, Distribution, sample_and_kl
from codebase.models.likelihoods import LogisticPixels
from codebase.models.nns import parts
from codebase.models.nns.v1 import X_DIM, check, check_size
from codebase.models.objectives import summaries
from codebase.models.priors import StandardNormalPrior


class VAEGAN(StandardNormalPrior, LatentVariableModel):
    """Reconstructions are compared in what a discriminator sees, not pixel by pixel.

        z ~ N(0, I)                              prior          (Z,)
        q(z|x) = N(m, diag v),  m, v = enc(x)    posterior      (Z,)
        x̃ = σ(gen(z)),  D(x) = σ(dis(x)),  f(x) = dis's last hidden layer

        enc minimizes  KL(q(z|x) ‖ p(z)) + ½|f(x) − f(x̃)|²                 x̃ of z ~ q(z|x)
        gen minimizes  γ·½|f(x) − f(x̃)|² − ½ E_q log D(x̃) − ½ E_p log D(x̃)
        dis minimizes  −E log D(x) − ½ E_q log(1 − D(x̃)) − ½ E_p log(1 − D(x̃))

    So neither does the game train enc, nor the reconstruction dis. Pixels are grey, as f is of no
    use where data are 0s and 1s and drawn images are not. What is logged and measured is the plain
    −ELBO with p(x|z) the discretized logistic law about x̃, in nats of 256 levels: a bound like
    any, though enc and gen do not minimize it. Only its one scale is trained by it, beside gen.

    Args:
        name: names the checkpoint folder.
        z_dim: Z.
        gamma: γ ≥ 0.
        net: of all three, "mlp" or "conv".
        hidden: width of their hidden layers.
        x_dim: D.
    Raises:
        ValueError: a size < 1, gamma < 0, no such networks, or convolutions and images whose sides
            4 does not divide; in the methods, an argument of another shape than said.
    """

    abilities = Abilities("grey", bounds=True, reconstructions=True, samples=True)
    betas = 0.5, 0.999  # as the GAN's

    def __init__(
        self,
        name: str = "vae-gan",
        z_dim: int = 10,
        gamma: float = 0.1,
        net: str = "mlp",
        hidden: int = 300,
        x_dim: int = X_DIM,
    ) -> None:
        check_size("hidden", hidden)
        adversarial.check_game("non-saturating", net)
        if not gamma >= 0:
            raise ValueError(f"gamma must be at least 0, got {gamma}")
        super().__init__(name)
        self.z_dim, self.x_dim, self.gamma = z_dim, x_dim, gamma
        made: parts.Networks = parts.MLP(hidden) if net == "mlp" else parts.Conv(hidden)
        self.enc = made.encoder(x_dim, z_dim)
        self.generator = adversarial.generator(net, z_dim, x_dim, hidden)
        self.discriminator = adversarial.Discriminator(net, x_dim, hidden)
        self.pixels = LogisticPixels(x_dim)
        self._init_prior()

    def players(self) -> dict[str, list[nn.Parameter]]:
        return {
            "discriminator": list(self.discriminator.parameters()),
            "encoder": list(self.enc.parameters()),
            "generator": [*self.generator.parameters(), *self.pixels.parameters()],
        }

    def posterior(self, x: torch.Tensor) -> DiagonalGaussian:
        """q(z|x): images (B, D) → a `DiagonalGaussian` over (B, Z)."""
        m, v, _ = self.enc(x)
        return DiagonalGaussian(m, v)

    def likelihood(self, z: torch.Tensor) -> Distribution:
        """p(x|z): latents (…, Z) → over (…, D), about x̃."""
        return self.pixels(self._outputs(z))

    def draw(self, z: torch.Tensor) -> torch.Tensor:
        """x̃, (…, Z) → (…, D) in [0, 1]."""
        return torch.sigmoid(self._outputs(z))

    def sample_x_given(self, z: torch.Tensor, *y: torch.Tensor) -> torch.Tensor:
        """x̃ itself, which is what the discriminator judges: (…, Z) → (…, D)."""
        return self.draw(z)

    def loss(self, x: torch.Tensor, player: str = "generator") -> Loss:
        """What a player minimizes, a scalar, with z of its own.

        Args:
            x: (B, D).
            player: "discriminator", "encoder" or "generator".
        """
        if player == "discriminator":
            return self._discriminate(x)
        z, kl = sample_and_kl(self.posterior(x), self.prior())
        outputs = self._outputs(z)
        again = torch.sigmoid(outputs)
        with torch.no_grad():
            f = self.discriminator.features(x)
        seen = self.discriminator.features(again)
        apart = 0.5 * (f - seen).square().sum(-1)
        if player == "encoder":
            loss = (kl + apart).mean()
            return loss, {"gan/encoder": loss, "gan/features": apart.mean()}
        odds = self.discriminator.above(seen).squeeze(-1).to(x.dtype)
        others = self.discriminator(self.draw(torch.randn_like(z)))
        fooling = [adversarial.generator_loss(o, "non-saturating") for o in (odds, others)]
        loss = self.gamma * apart.mean() + (fooling[0] + fooling[1]) / 2
        rec = -self.pixels(outputs.detach()).log_prob(x)  # moves the scale alone
        whole, found = summaries(loss + rec.mean(), kl, rec)
        return whole, found | {"gan/generator": loss}

    def _discriminate(self, x):
        with torch.no_grad():
            z = self.posterior(x).rsample()
            drawn = self.draw(torch.cat([z, torch.randn_like(z)]))
        odds = self.discriminator(torch.cat([x, drawn])).split(len(x))
        loss = adversarial.discriminator_loss(*odds)
        says = {"gan/d_real": odds[0].sigmoid().mean(), "gan/d_drawn": odds[2].sigmoid().mean()}
        return loss, {"gan/discriminator": loss} | says

    def _outputs(self, z):
        check("z", z, self.z_dim)
        flat = self.generator(z.reshape(-1, self.z_dim))
        return flat.view(*z.shape[:-1], self.x_dim).to(z.dtype)
