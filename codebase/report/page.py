"""Markdown, and one HTML page of it that carries its pictures along."""

import base64
import re
from collections.abc import Sequence
from pathlib import Path
from string import Template

import markdown

TEMPLATE = Path(__file__).with_name("page.html")
MISSING = "missing"


def table(heading: Sequence[str], rows: Sequence[Sequence[str | None]]) -> str:
    """A table in Markdown; its first column is left-aligned, the others right-aligned.

    Args:
        heading: a cell per column.
        rows: cells, text already; None is shown as missing.
    """
    lines = [heading, ["---", *["---:"] * (len(heading) - 1)], *rows]
    return "\n".join("| " + " | ".join(map(_cell, line)) + " |" for line in lines)


def _cell(text):
    return MISSING if text is None else plain(text)


def plain(text: object) -> str:
    """Text that means nothing to Markdown and HTML; it may come from a file."""
    return re.sub(r"[<>&|`\[\]\\\n]", " ", str(text))


def picture(path: Path | None, caption: str) -> str:
    """A picture in Markdown with its caption, and what stands in its place if there is none."""
    caption = plain(caption)
    return f"![{caption}]({path.name})\n\n*{caption}.*" if path else f"*{MISSING}: {caption}.*"


def html(text: str, folder: Path) -> str:
    """A page of HTML that needs no other file and no network.

    Args:
        text: Markdown; its first line is the title.
        folder: where the pictures it names lie, PNGs.
    """
    body = markdown.markdown(text, extensions=["tables"], output_format="html")
    body = re.sub(r"(?s)<table>.*?</table>", r'<div class="table">\g<0></div>', body)
    body = re.sub(r'src="([^"]*)"', lambda match: _inlined(folder / match[1]), body)
    title = text.partition("\n")[0].lstrip("# ")
    return Template(TEMPLATE.read_text(encoding="utf-8")).substitute(title=title, body=body)


def _inlined(path):
    return f'src="data:image/png;base64,{base64.b64encode(path.read_bytes()).decode()}"'
