"""Pictures are drawn once the record is written: nothing measured may be lost to one."""

from collections.abc import Callable, Mapping

from codebase.errors import UserError


def failures(pictures: Mapping[str, Callable[[], None]]) -> dict[str, str]:
    """Draws one after the other, whatever becomes of those before.

    Args:
        pictures: {what it is: draws and saves it}.
    Returns:
        {what could not be drawn: why}.
    """
    why = {name: _failure(draw) for name, draw in pictures.items()}
    return {name: reason for name, reason in why.items() if reason}


def _failure(draw):
    """What goes wrong when it is called, in words; None if nothing does."""
    try:
        draw()
    except UserError as error:
        return str(error).rstrip(".")
    except Exception as error:  # fonts, backends, a disk: what drawing raises is no contract
        first = (str(error).splitlines() or [""])[0].rstrip(". ")
        return f"{type(error).__name__}: {first}"
    return None


def warn(failed: dict[str, str], way: str) -> None:
    """Says what could not be drawn and why, and after all that the way to draw it again."""
    for name, reason in failed.items():
        print(f"*** WARNING: no {name} ({reason}).")
    if failed:
        print(f"*** Every number is safe in results.json; {way}.")
