"""The numbers to stand beside: two-sided bands (centre, half-width) of the assignment's graders.

They hold for MNIST and the protocol's defaults. For the IWAE bounds the source gives a range of
half-widths (VAE 2.5 to 2.8, GMVAE 2.7 to 3); where it does not say which, the widest is used.
"""

Band = tuple[float, float]

BANDS: dict[str, dict[str, Band]] = {
    "vae": {
        "nelbo": (100, 2),
        "kl": (19.5, 2),
        "rec": (82, 2),
        "iwae-1": (99, 2.8),
        "iwae-10": (97, 2.8),
        "iwae-100": (96, 2.8),
        "iwae-1000": (95, 2.8),
    },
    "gmvae": {
        "nelbo": (97, 3),
        "kl": (17.5, 1),
        "rec": (80, 2.5),
        "iwae-1": (97, 3),
        "iwae-10": (95, 3),
        "iwae-100": (94, 3),
        "iwae-1000": (93, 2.7),
    },
    "ssvae_gw=0": {"accuracy": (0.735, 0.03)},
    "ssvae_gw=1": {"accuracy": (0.92, 0.035)},
}


def verdict(value: float, band: Band) -> str:
    """ "in", "above" or "below" the band."""
    centre, half_width = band
    if abs(value - centre) <= half_width:
        return "in"
    return "above" if value > centre else "below"
