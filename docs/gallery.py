"""Draws the gallery of docs/figures.md from finished runs, and writes it into that page.

python docs/gallery.py                 # draws docs/gallery/*.png and rewrites docs/figures.md
python docs/gallery.py --checkpoints DIR   # from runs in another folder

It draws from the runs named below, trained on MNIST at the defaults but for what their names say. A
picture whose run is not there stays as it was.
"""

import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
PAGE = HERE / "figures.md"
sys.path.insert(0, str(HERE.parent))

from codebase.command import script  # noqa: E402
from codebase.errors import UserError  # noqa: E402
from codebase.runs.flags import Parser  # noqa: E402

VAE = "model=vae_z=10_run=0000"
PLANE = "model=vae_z=02_run=0000"
GMVAE = "model=gmvae_z=10_k=500_run=0000"
TEN = "model=gmvae_z=10_k=010_run=0000"
SSVAE = "model=ssvae_gw=001_cw=100_run=0000"
BY_Z = [f"model=vae_z={z:02d}_run=0000" for z in (2, 5, 10, 20)]
BY_BETA = [VAE, *(f"model=vae_z=10_run=0000_beta={b}" for b in (0.1, 0.5, 2, 4, 10))]
# In the page's order, two in a row: the figure, and the run or runs it is of.
PICTURES = [
    ("reconstructions", VAE),
    ("samples_by_z", BY_Z),
    ("map", PLANE),
    ("manifold", PLANE),
    ("traversals", VAE),
    ("kl_per_dimension", GMVAE),
    ("interpolation", VAE),
    ("arithmetic", VAE),
    ("tsne", GMVAE),
    ("components", GMVAE),
    ("clustering", TEN),
    ("clustering_by_k", [TEN, GMVAE]),
    ("class_conditional", SSVAE),
    ("style_transfer", SSVAE),
    ("calibration", SSVAE),
    ("mistakes", SSVAE),
    ("likelihood", VAE),
    ("outliers", VAE),
    ("rate_distortion", BY_BETA),
]
MARKS = "<!-- gallery -->\n", "<!-- end of gallery -->\n"
COLUMNS = 2


def markdown():
    """The gallery as an HTML table: Markdown's own cannot set a width."""
    from codebase.figures.captions import CAPTIONS

    cells = []
    for name, of in PICTURES:
        title, caption = CAPTIONS[name]
        run = "" if isinstance(of, list) else f" <code>{of}</code>"
        file = HERE / "gallery" / f"{name}.png"
        if not file.exists():
            continue
        path = file.relative_to(PAGE.parent).as_posix()
        cells.append(
            f'<td width="{100 // COLUMNS}%" valign="top"><img src="{path}" alt="{title}"><br>'
            f"<b>{title}.</b> {caption}{run}</td>\n"
        )
    rows = [cells[i : i + COLUMNS] for i in range(0, len(cells), COLUMNS)]
    return "<table>\n" + "".join(f"<tr>\n{''.join(row)}</tr>\n" for row in rows) + "</table>\n"


def updated(page):
    """The page's text with the gallery as it is now."""
    before, rest = page.split(MARKS[0])
    _, after = rest.split(MARKS[1])
    return before + MARKS[0] + markdown() + MARKS[1] + after


def shrink(path, dpi):
    """Rewrites a picture in 256 colours, which takes fewer bytes."""
    from PIL import Image

    picture = Image.open(path).convert("RGB").quantize(256)
    picture.save(path, optimize=True, dpi=(dpi, dpi))


def main():
    p = Parser("Draws the gallery of docs/figures.md from finished runs.")
    p.add_argument("--checkpoints", default="checkpoints", help="folder of the runs")
    p.add_argument("--data_dir", default="data", help="folder that holds MNIST/raw")
    args = p.parse_args()

    from codebase.figures import book, style
    from codebase.files.disk import make_folder

    studies = {}

    def study(run):
        if run not in studies:
            studies[run], _ = book.open_study(str(Path(args.checkpoints) / run), args.data_dir)
        return studies[run]

    make_folder(HERE / "gallery")
    for name, of in PICTURES:
        try:
            subject = [study(run) for run in of] if isinstance(of, list) else study(of)
        except UserError as error:
            print(f"{name} is left as it was. {error}")
            continue
        with style.styled():
            fig, _ = book.render(name, subject)
            style.save(fig, HERE / "gallery", name, kinds=["png"])
        shrink(HERE / "gallery" / f"{name}.png", style.DPI)
        print(name)
    PAGE.write_text(updated(PAGE.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    script(main)
