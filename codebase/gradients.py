"""Derivatives written by hand, for the few places where autograd's own passes dominate a step."""

import torch


class WeightedSquares(torch.autograd.Function):
    """Σ_d (z_d − m_kd)² p_kd for every point and component: z (B, Z), m and p (K, Z) → (B, K).

    Forward subtracts before it squares: z² − 2zm + m² would lose every digit where z is near m
    and far from 0. Backward needs only products of (B, K) with (B, Z) and (K, Z), which cost
    less than passes over (B, K, Z). They cancel, so they are taken in float64: the gradient of p
    keeps about 16 − 2 log10(|m|/√v) digits, of which training needs a few.
    """

    @staticmethod
    def forward(z, m, p):
        # Z outermost: the sum then adds whole (B, K) planes instead of runs of Z neighbours.
        squares = z.T.unsqueeze(2).contiguous() - m.T.unsqueeze(1).contiguous()
        squares.square_().mul_(p.T.unsqueeze(1).contiguous())
        return squares.sum(0)

    @staticmethod
    def setup_context(ctx, inputs, output):
        ctx.save_for_backward(*inputs)

    @staticmethod
    def backward(ctx, g):
        dtype = g.dtype
        wide = torch.float32 if g.device.type == "mps" else torch.float64  # MPS has no float64
        z, m, p, g = (t.to(wide) for t in (*ctx.saved_tensors, g))
        total, gz, gzz = (g.T @ torch.cat([torch.ones_like(z[:, :1]), z, z.square()], dim=1)).split(
            [1, z.shape[1], z.shape[1]], dim=1
        )  # (K, 1), (K, Z), (K, Z)
        gp, gpm = (g @ torch.cat([p, p * m], dim=1)).chunk(2, dim=1)  # (B, Z) each
        dz = 2 * (z * gp - gpm)
        dm = 2 * p * (m * total - gz)
        dp = gzz - 2 * m * gz + m.square() * total
        return dz.to(dtype), dm.to(dtype), dp.to(dtype)
