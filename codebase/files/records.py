"""JSON files: written whole or not at all, and read without trusting them."""

import json
from pathlib import Path
from typing import Any

from codebase.errors import UserError
from codebase.files import disk


def write(path: Path, content: Any) -> None:
    """Writes an object to a JSON file, atomically."""
    with disk.atomic(path) as file:
        file.write((json.dumps(content, indent=2) + "\n").encode())


def read(path: Path, advice: str = "") -> dict[str, Any]:
    """The object in a JSON file.

    Raises:
        UserError: there is none; it ends with the advice.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}. {advice}".rstrip()) from error
    except (ValueError, RecursionError) as error:
        raise UserError(f"{path} is damaged: {error}. {advice}".rstrip()) from error
    if not isinstance(content, dict):
        raise UserError(f"{path} is damaged: it holds no JSON object. {advice}".rstrip())
    return content
