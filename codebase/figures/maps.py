"""Figures of where the test images lie in the latent space.

Each function takes a `Study` and gives a figure and the numbers behind it.
"""

import numpy as np
from matplotlib import patheffects
from matplotlib.lines import Line2D
from matplotlib.patches import Ellipse

from codebase.figures import analysis, style
from codebase.figures.study import Study
from codebase.figures.style import Drawn

SHOWN = 2_000  # images in a t-SNE map; its time grows a little faster than their number
TEXT = 0.07  # of a map's side, what a digit's name takes of it


def plane(study: Study) -> Drawn:
    """z = 2: the test set's posterior means, over the prior."""
    z, y = study.means.cpu().numpy(), study.y.numpy()
    accuracy = analysis.knn_accuracy(z, y)
    fig = style.figure(3.4)
    ax = fig.subplots()
    _scatter(ax, z, y)
    if study.points:
        note = "no prior"
    elif "mixture" in study.traits:
        note = "+: component means"
        means = study.mixture.components.mean.detach().cpu().numpy()
        ax.plot(*means.T, "+", color="black", markersize=3, markeredgewidth=0.5)
    else:
        note = "dotted: prior's 1, 2, 3 s"
        centre, s = tuple(study.prior.mean.tolist()), study.prior.variance.sqrt()
        for n in (1, 2, 3):
            axes = (2 * n * s).tolist()
            ax.add_patch(Ellipse(centre, *axes, fill=False, linewidth=0.5, linestyle=":"))
    ax.set(xlabel=style.latent(0), ylabel=style.latent(1), aspect="equal")
    ax.set_title(f"{_codes(study)} of {len(y):,} images ({note})\n{_knn(accuracy)}")
    return fig, {"knn_accuracy": accuracy}


def pca(study: Study) -> Drawn:
    """The plane along which posterior means vary most."""
    from sklearn.decomposition import PCA

    at = study.positions(SHOWN)
    z, y = study.means.cpu().numpy(), study.y.numpy()
    fitted = PCA(2, random_state=0).fit(z)
    flat = fitted.transform(z[at])
    share = fitted.explained_variance_ratio_
    fig, numbers = _flat_map(flat, z[at], y[at], f"PCA of the {_codes(study).lower()}")
    ax = fig.axes[0]
    ax.set(
        xlabel=f"component 1 ({share[0]:.0%} of the variance)",
        ylabel=f"component 2 ({share[1]:.0%})",
        aspect="equal",
    )
    return fig, numbers | {"explained_variance": share.tolist()}


def tsne(study: Study) -> Drawn:
    """A map that keeps neighbours together."""
    from sklearn.manifold import TSNE

    at = study.positions(SHOWN)
    z, y = study.means[at].cpu().numpy(), study.y[at].numpy()
    flat = TSNE(2, perplexity=min(30, len(z) / 4), random_state=0, n_jobs=-1).fit_transform(z)
    fig, numbers = _flat_map(flat, z, y, f"t-SNE of the {_codes(study).lower()}")
    ax = fig.axes[0]
    ax.set(xlabel="t-SNE 1 (no unit)", ylabel="t-SNE 2 (no unit)", aspect="equal")
    return fig, numbers


def _flat_map(flat, z, y, name):
    numbers = {
        "images": len(y),
        "knn_accuracy_in_z": analysis.knn_accuracy(z, y),
        "knn_accuracy_on_map": analysis.knn_accuracy(flat, y),
    }
    fig = style.figure(3.4)
    ax = fig.subplots()
    _scatter(ax, flat, y)
    in_z, on_map = numbers["knn_accuracy_in_z"], numbers["knn_accuracy_on_map"]
    ax.set_title(f"{name} of {len(y):,} test images\n{_knn(in_z)} in z, {on_map:.3f} here")
    return fig, numbers


def _codes(study):
    return "Codes" if study.points else "Posterior means"


def _knn(accuracy):
    return f"10-neighbour accuracy {accuracy:.3f}"


def _scatter(ax, points, labels):
    """Points coloured by digit, with a legend; digits that lie apart are named on the map too."""
    colours = np.array(style.DIGITS)[labels]
    # Thousands of points as one picture inside the SVG: as shapes they would take megabytes.
    ax.scatter(*points.T, s=2, c=colours, linewidths=0, alpha=0.7, rasterized=True)
    halo = [patheffects.withStroke(linewidth=2, foreground="white")]
    medians = {digit: np.median(points[labels == digit], axis=0) for digit in np.unique(labels)}
    for digit in apart(medians, TEXT * np.ptp(points, axis=0).max()):
        name = ax.text(*medians[digit], str(digit), fontsize=9, weight="bold", path_effects=halo)
        name.set(ha="center", va="center")
    dots = [Line2D([], [], color=style.DIGITS[d], label=str(d)) for d in medians]
    for dot in dots:
        dot.set(linestyle="", marker="o", markersize=3.5)
    gaps = {"handletextpad": -0.4, "columnspacing": 0.8}
    ax.figure.legend(handles=dots, loc="outside lower center", ncols=len(dots), **gaps)


def apart(places: dict[int, np.ndarray], distance: float) -> list[int]:
    """The names of places that keep a distance from all other places: {name: (2,)} → names."""
    return [
        name
        for name, here in places.items()
        if all(np.linalg.norm(here - p) > distance for n, p in places.items() if n != name)
    ]


def clustering(study: Study) -> Drawn:
    """Which digits the mixture's components hold."""
    clusters, y = study.components.numpy(), study.y.numpy()
    scores = analysis.clustering_scores(clusters, y)
    counts = analysis.contingency(clusters, y)
    counts = counts[:, counts.sum(0) > 0]
    counts = counts[:, np.lexsort((-counts.sum(0), counts.argmax(0)))]
    fig = style.figure(2.3)
    ax = fig.subplots()
    shares = counts / counts.sum(0)
    image = ax.imshow(shares, aspect="auto", vmin=0, vmax=1, interpolation="nearest")
    ax.set(
        xlabel=f"the {counts.shape[1]} components in use, by commonest digit",
        ylabel="digit",
        yticks=range(len(counts)),
        title=f"Components as clusters, K = {study.mixture.k}: accuracy {scores['accuracy']:.3f},\n"
        f"purity {scores['purity']:.3f}, NMI {scores['nmi']:.3f}, ARI {scores['ari']:.3f}",
    )
    if counts.shape[1] <= 20:
        ax.set_xticks(range(counts.shape[1]), [])
    fig.colorbar(image, label="share of the component's images")
    return fig, {"k": study.mixture.k, "used": counts.shape[1]} | scores
