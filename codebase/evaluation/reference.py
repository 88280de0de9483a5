"""The numbers to stand beside: two-sided bands (centre, half-width) of the assignment's graders.

They hold for MNIST and the protocol's defaults. The graders' versions differ in the half-widths of
the IWAE bounds; BANDS has the widest of each, NEWEST what the newest version has in its place.
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
NEWEST = {
    "vae": {"iwae-10": (97, 2.5), "iwae-100": (96, 2.5)},
    "gmvae": {"iwae-10": (95, 2.95), "iwae-100": (94, 2.9)},
}
# What right solutions give: checkpoints that others published (20,000 iterations), evaluated by
# this project: mean ± standard error over them, and their number.
PUBLIC = {"vae": {"nelbo": "101.49 ± 0.09 (11)"}, "gmvae": {"nelbo": "99.00 ± 0.08 (9)"}}


def words(problem: str) -> str:
    """What stands beside a problem's bands: their version, and the public solutions; "" of none."""
    if problem not in BANDS:
        return ""
    text = "reference: the graders' two-sided bands"
    if newest := NEWEST.get(problem):
        halves = ", ".join(f"{name} ± {half:g}" for name, (_, half) in newest.items())
        text += f", the widest of their versions\n(the newest: {halves})"
    for name, found in PUBLIC.get(problem, {}).items():
        text += f"\npublic solutions evaluated here (mean ± s.e., count): {name} {found}"
    return text


def verdict(value: float, band: Band) -> str:
    """ "in", "above" or "below" the band."""
    centre, half_width = band
    if abs(value - centre) <= half_width:
        return "in"
    return "above" if value > centre else "below"
