"""Pictures: grids of digits and the confusion matrix."""

import numpy as np
import torch
from PIL import Image

from codebase.files.disk import atomic

SIDE = 28


def grid(images, columns, gap=2):
    """Images in rows, left to right, top to bottom, on one grey-level canvas.

    Args:
        images: (N, 784) in [0, 1].
        columns: images in a row.
        gap: pixels between them.
    Returns:
        (H, W) uint8 array, ink dark on white as on paper.
    """
    rows = -(-len(images) // columns)
    cells = torch.zeros(rows * columns, SIDE, SIDE)
    cells[: len(images)] = images.detach().cpu().float().view(-1, SIDE, SIDE)
    cells = torch.nn.functional.pad(cells, (gap, 0, gap, 0))
    cell = SIDE + gap
    canvas = cells.view(rows, columns, cell, cell).transpose(1, 2).reshape(rows * cell, -1)
    canvas = torch.nn.functional.pad(canvas, (0, gap, 0, gap))
    return (255 - canvas * 255).round().to(torch.uint8).numpy()


def save_grid(path, images, columns, zoom=2):
    """Writes a grid as a PNG, every pixel enlarged `zoom` times."""
    pixels = np.kron(grid(images, columns), np.ones((zoom, zoom), dtype=np.uint8))
    with atomic(path) as file:
        Image.fromarray(pixels).save(file, format="PNG")


def reconstructions(x, probabilities, columns=20):
    """Rows in pairs: images above, the probabilities they are reconstructed with below.

    Args:
        x, probabilities: (N, 784) each, N a multiple of columns.
    Returns:
        (2N, 784).
    """
    pairs = torch.stack([t.view(-1, columns, t.shape[-1]) for t in (x, probabilities)], dim=1)
    return pairs.flatten(0, 2)


def save_confusion(path, confusion):
    """Draws the counts of true label (rows) against predicted (columns)."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    shares = confusion / confusion.sum(1, keepdim=True).clamp(min=1)
    fig, ax = plt.subplots(figsize=(6, 5.4), layout="constrained")
    image = ax.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    for (true, predicted), count in np.ndenumerate(confusion.numpy()):
        ink = "white" if shares[true, predicted] > 0.5 else "black"
        ax.text(predicted, true, str(count), ha="center", va="center", color=ink, fontsize=8)
    labels = range(len(confusion))
    ax.set(
        xlabel="predicted digit",
        ylabel="true digit",
        xticks=labels,
        yticks=labels,
        title=f"Test images: {int(confusion.diag().sum()):,} of {int(confusion.sum()):,} right",
    )
    fig.colorbar(image, label="share of the true digit's images")
    with atomic(path) as file:
        fig.savefig(file, format="png", dpi=150)
    plt.close(fig)
