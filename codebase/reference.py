"""The numbers to stand beside: two-sided bands (centre, half-width) of the assignment's graders.

They hold for MNIST and the protocol's defaults. For the IWAE bounds the source gives a range of
half-widths (VAE 2.5 to 2.8, GMVAE 2.7 to 3); where it does not say which, the widest is used.
"""

BANDS = {
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


def verdict(value, band):
    """ "in", "above" or "below" the band."""
    centre, half_width = band
    if abs(value - centre) <= half_width:
        return "in"
    return "above" if value > centre else "below"


def table(columns, bands=None):
    """Numbers as aligned text, a row per name.

    Args:
        columns: {heading: {name: Number}}; the first one is compared with the bands.
        bands: {name: (centre, half-width)}, or None where nothing compares.
    """
    (first, *others) = columns
    names = list(dict.fromkeys(name for column in columns.values() for name in column))
    rows = [["", first, *(["reference", ""] if bands else []), *others]]
    for name in names:
        row = [name, text(columns[first].get(name))]
        if bands:
            band, number = bands.get(name), columns[first].get(name)
            known = band and number
            row += (
                [f"{band[0]:g} ± {band[1]:g}", verdict(number.value, band)] if known else ["", ""]
            )
        rows.append(row + [text(columns[other].get(name)) for other in others])
    return aligned(rows)


def aligned(rows):
    """Rows of words as lines, each column as wide as its widest word."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ["   ".join(c.ljust(w) for c, w in zip(row, widths, strict=True)) for row in rows]
    return "\n".join(line.rstrip() for line in lines)


def text(number):
    """A number ± its standard error, in as many digits as tell something; None is nothing."""
    if number is None:
        return ""
    digits = 4 if abs(number.value) < 1 else 2
    if number.se is None:
        return f"{number.value:.{digits}f}"
    se_digits = digits if number.se >= 10.0**-digits or number.se == 0 else digits + 2
    return f"{number.value:.{digits}f} ± {number.se:.{se_digits}f}"
