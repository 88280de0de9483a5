"""Data that turn into noise step by step, and the bound of a model that goes back (DDPM).

x₀ of B times N numbers with a variance of about 1; t = 1 … T. As Sohl-Dickstein et al. (2015) and
Ho et al. (2020) have it:

    q(x_t|x₀) = N(√ᾱ_t x₀, (1 − ᾱ_t) I),  ᾱ₀ = 1
    p(x_T) = N(0, I),  p(x_{t−1}|x_t) = N(mean of q(x_{t−1}|x_t, x̂₀), σ_t² I)
    ε̂(x_t, t) = (x_t − √ᾱ_t x̂₀) / √(1 − ᾱ_t)
"""

import math
from collections.abc import Callable, Iterable, Sequence

import torch
from torch import nn
from torch.nn import functional as F

from codebase.models.nns.v1 import check_size

Progress = Callable[[Sequence[int]], Iterable[int]]  # wraps what is gone through, as tqdm does
FEATURES = 64  # of a time, which the networks are given
LOWEST = -9.0  # log(ᾱ_T/(1 − ᾱ_T)): 784 pixels are told apart by 0.05 nats there
HO = 1e-4, 0.02  # β_1 and β_T of Ho et al., for 1,000 steps


class Process(nn.Module):
    """The schedule ᾱ_t, and what follows from it.

    Args:
        times: T.
        schedule: "logsnr": log(ᾱ_t/(1 − ᾱ_t)) falls evenly from `highest` to −9 (Kingma et al.,
            2021); "linear": β_t grows evenly, at 1,000 steps from 0.0001 to 0.02, at fewer by as
            much faster (Ho et al., 2020).
        highest: log(ᾱ₁/(1 − ᾱ₁)) of "logsnr".
        wide: σ_t² = β_t, right for x₀ ~ N(0, I); else β_t (1 − ᾱ_{t−1})/(1 − ᾱ_t), for an x₀ that
            is known (Ho et al., 2020). Both have σ₁² = β₁ = 1 − ᾱ₁.
    Attributes:
        signal, noise: √ᾱ_t and √(1 − ᾱ_t), t = 0 … T, (T + 1,).
        features: sines and cosines of t, (T + 1, FEATURES).
    Raises:
        ValueError: T < 2, a schedule without noise, or none of that name.
    """

    signal: torch.Tensor
    noise: torch.Tensor
    of_x0: torch.Tensor
    of_xt: torch.Tensor
    v: torch.Tensor
    sigma2: torch.Tensor
    weight: torch.Tensor
    surplus: torch.Tensor
    features: torch.Tensor

    def __init__(
        self,
        times: int = 200,
        schedule: str = "logsnr",
        highest: float = 3.0,
        wide: bool = False,
    ) -> None:
        super().__init__()
        if times < 2:
            raise ValueError(f"times must be at least 2, got {times}")
        self.times = times
        on, off = _variances(times, schedule, highest)  # ᾱ_t and 1 − ᾱ_t, float64
        alpha, beta = on[1:] / on[:-1], 1 - on[1:] / on[:-1]
        # Of q(x_{t−1}|x_t, x₀): mean of_x0·x₀ + of_xt·x_t, and variance.
        of_x0 = on[:-1].sqrt() * beta / off[1:]
        of_xt = alpha.sqrt() * off[:-1] / off[1:]
        v = beta * off[:-1] / off[1:]
        sigma2 = beta.clone() if wide else torch.cat([beta[:1], v[1:]])
        # KL_t = surplus_t·N + weight_t·‖x₀ − x̂₀‖² for t ≥ 2.
        ratio = torch.cat([torch.ones(1).double(), (v / sigma2)[1:]])
        surplus = 0.5 * (ratio - 1 - ratio.log())
        tables = {
            "of_x0": of_x0,
            "of_xt": of_xt,
            "v": v,
            "sigma2": sigma2,
            "weight": of_x0.square() / (2 * sigma2),
            "surplus": surplus,
        }
        tables = {name: torch.cat([torch.zeros(1).double(), t]) for name, t in tables.items()}
        tables |= {"signal": on.sqrt(), "noise": off.sqrt(), "features": _features(times)}
        for name, t in tables.items():
            self.register_buffer(name, t.to(torch.get_default_dtype()), persistent=False)

    def at(self, name: str, t: torch.Tensor) -> torch.Tensor:
        """A table at times (B,), so that it multiplies (B, N): (B, 1)."""
        return getattr(self, name)[t].unsqueeze(-1)

    def noised(self, x0: torch.Tensor, t: torch.Tensor, noise: torch.Tensor) -> torch.Tensor:
        """√ᾱ_t x₀ + √(1 − ᾱ_t) ε: (B, N), (B,), (B, N) → (B, N)."""
        return self.at("signal", t) * x0 + self.at("noise", t) * noise

    def posterior(
        self, x0: torch.Tensor, xt: torch.Tensor, t: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Mean (B, N) and variance (B, 1) of q(x_{t−1}|x_t, x₀)."""
        return self.at("of_x0", t) * x0 + self.at("of_xt", t) * xt, self.at("v", t)

    def prior_kl(self, x0: torch.Tensor) -> torch.Tensor:
        """KL(q(x_T|x₀) ‖ N(0, I)) in nats, (B, N) → (B,)."""
        on, off = self.signal[-1].square(), self.noise[-1].square()
        return 0.5 * (on * x0.square() + off - 1 - off.log()).sum(-1)

    def evenly(self, batch: int, strata: int = 1) -> list[torch.Tensor]:
        """For each stratum of 1 … T times (batch,), each uniform in it, int64.

        Within a minibatch they are spread evenly, so that its mean has less noise.
        """
        device = self.signal.device
        u = (torch.rand((), device=device) + torch.arange(batch, device=device) / batch) % 1
        parts = [((k + u) * self.times / strata).long() + 1 for k in range(strata)]
        return [t.clamp(max=self.times) for t in parts]


class Denoiser(nn.Module):
    """A model that goes back, p(x₀) with the bound −log p(x₀) ≤ KL_T + Σ_{t≥2} KL_t + L₁.

        KL_t = E KL(q(x_{t−1}|x_t, x₀) ‖ p(x_{t−1}|x_t)),  L₁ = E[−log p(x₀|x₁)]

    The noise is thought to be ε̂ = (x_t − √ᾱ_t x̂₀)/√(1 − ᾱ_t), where a network f of x_t and t adds
    to what is best for numbers that are independent of each other. So it need not hand the noise of
    each through, as one narrower than the image could not.

        bits:     x̂₀ = tanh(a),  a = x_t √ᾱ_t/(1 − ᾱ_t) + f;  p(x₀|x₁) of −1 and 1: log odds 2a
        numbers:  x̂₀ = √ᾱ_t x_t − √(1 − ᾱ_t) f;               p(x₀|x₁) = N(x̂₀, σ₁² I)

    With f = 0 bits are uniform, and numbers with a wide σ_t are N(0, I), for which the bound is
    tight.

    Args:
        net: f, from x_t (B, N) and features of t (B, FEATURES) to (B, N).
        process: a `Process`.
        bits: whether x₀ is −1 or 1.
    """

    def __init__(self, net: nn.Module, process: Process, bits: bool) -> None:
        super().__init__()
        self.net, self.process, self.bits = net, process, bits

    def guess(self, xt: torch.Tensor, t: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """x̂₀, and of bits their log odds, else x̂₀ again: (B, N), (B,) → (B, N), (B, N)."""
        on, off = self.process.at("signal", t), self.process.at("noise", t)
        f = self.net(xt, self.process.features[t]).to(xt.dtype)
        if self.bits:
            a = on / off.square() * xt + f
            return torch.tanh(a), 2 * a
        found = on * xt - off * f
        return found, found

    def noise(self, xt: torch.Tensor, t: torch.Tensor, guess: torch.Tensor) -> torch.Tensor:
        """ε̂ (B, N) by x_t and x̂₀ (B, N)."""
        return (xt - self.process.at("signal", t) * guess) / self.process.at("noise", t)

    def log_prob_last(self, x0: torch.Tensor, told: torch.Tensor) -> torch.Tensor:
        """log p(x₀|x₁) in nats, by x₀ and the second of `guess`, (B, N) → (B,)."""
        if self.bits:
            return F.logsigmoid(x0 * told).sum(-1)
        s = self.process.noise[1]
        z = (x0 - told) / s
        return (-0.5 * z.square() - s.log() - 0.5 * math.log(2 * math.pi)).sum(-1)

    def term(self, x0: torch.Tensor, t: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """One draw of ‖ε − ε̂‖² and of the bound's term at t, KL_t or L₁: (B, N), (B,) → (B,), (B,).

        The second is in nats; the first is none of the bound.
        """
        noise = torch.randn_like(x0)
        xt = self.process.noised(x0, t, noise)
        guess, told = self.guess(xt, t)
        error = (noise - self.noise(xt, t, guess)).square().sum(-1)
        off = (x0 - guess).square().sum(-1)
        kl = self.process.surplus[t] * x0.shape[-1] + self.process.weight[t] * off
        return error, torch.where(t == 1, -self.log_prob_last(x0, told), kl)

    def terms(self, x0: torch.Tensor, strata: int | None = None) -> dict[str, torch.Tensor]:
        """Unbiased parts of the bound of each image, nats, {"end", "steps", "last": (B,)}.

        Args:
            x0: (B, N).
            strata: of how many times each image's is drawn, one of every stratum of 1 … T; None:
                all T, one draw of noise each.
        """
        strata = min(strata or self.process.times, self.process.times)
        steps, last = torch.zeros_like(x0[:, 0]), torch.zeros_like(x0[:, 0])
        for t in self.process.evenly(len(x0), strata):
            found = self.term(x0, t)[1] * (self.process.times / strata)
            steps = steps + torch.where(t == 1, torch.zeros_like(found), found)
            last = last + torch.where(t == 1, found, torch.zeros_like(found))
        return {"end": self.process.prior_kl(x0), "steps": steps, "last": last}

    @torch.no_grad()
    def sample(
        self, batch: int, width: int, ddim: int | None = None, progress: Progress = iter
    ) -> torch.Tensor:
        """x₀ from the model, (batch, width); of bits 0s and 1s.

        Args:
            ddim: steps that take the noise away without adding any (Song et al., 2021), fewer than
                T; None: the model's own T steps.
            progress: wraps the numbers of the steps.
        Raises:
            ValueError: batch < 1, or ddim is not among 1 … T.
        """
        check_size("batch", batch)
        times = self.process.times
        if ddim is not None and not 1 <= ddim <= times:
            raise ValueError(f"ddim must be from 1 to {times}, got {ddim}")
        like = self.process.signal
        x = torch.randn(batch, width, device=like.device, dtype=like.dtype)
        stops = [times - i * times // (ddim or times) for i in range(ddim or times)] + [0]
        for i in progress(range(len(stops) - 1)):
            t = torch.full((batch,), stops[i], device=like.device)
            guess, told = self.guess(x, t)
            if ddim is not None:
                x = self.process.noised(
                    guess, torch.full_like(t, stops[i + 1]), self.noise(x, t, guess)
                )
            elif stops[i + 1]:
                mean, _ = self.process.posterior(guess, x, t)
                x = mean + self.process.at("sigma2", t).sqrt() * torch.randn_like(x)
        if self.bits:
            return torch.bernoulli(torch.sigmoid(told))
        return guess if ddim else guess + self.process.noise[1] * torch.randn_like(guess)


def _variances(times, schedule, highest):
    """ᾱ_t and 1 − ᾱ_t of t = 0 … T, float64: each exact where it is small."""
    if schedule == "logsnr":
        log_snr = torch.linspace(highest, LOWEST, times, dtype=torch.float64)
        on, off = log_snr.sigmoid(), (-log_snr).sigmoid()
    elif schedule == "linear":
        first, last = (1_000 / times * beta for beta in HO)
        beta = torch.linspace(first, last, times, dtype=torch.float64)
        if last >= 1:
            raise ValueError(f"the linear schedule needs more than 20 times, got {times}")
        log_on = torch.log1p(-beta).cumsum(0)
        on, off = log_on.exp(), -torch.expm1(log_on)
    else:
        raise ValueError(f"schedule is logsnr or linear, got {schedule!r}")
    end = torch.tensor([1.0, 0.0], dtype=torch.float64)
    return torch.cat([end[:1], on]), torch.cat([end[1:], off])


def _features(times):
    """Sines and cosines of 1,000 t/T, of frequencies 1 … 1/10,000: (T + 1, FEATURES)."""
    half = FEATURES // 2
    t = torch.arange(times + 1, dtype=torch.float64).unsqueeze(-1) * (1_000 / times)
    rate = torch.exp(-math.log(10_000) * torch.arange(half, dtype=torch.float64) / half)
    return torch.cat([torch.sin(t * rate), torch.cos(t * rate)], dim=-1)
