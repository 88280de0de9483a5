"""The one exception for mistakes that the person at the keyboard can mend."""

from collections.abc import Iterable


class UserError(Exception):
    """One clear sentence: what is wrong, where, what to do. Scripts print it, no traceback.

    It may quote a file, so what could break the line or steer a terminal is left out.
    """

    def __init__(self, sentence: str) -> None:
        super().__init__("".join(c if c.isprintable() else " " for c in sentence))


def nearest(word: str, known: Iterable[str]) -> str:
    """ " Did you mean …?" with that of the known words that is most like it; "" if none is."""
    import difflib

    # Dashes that every flag begins with would make all of them alike.
    bare = {name.lstrip("-").casefold(): name for name in known}
    found = difflib.get_close_matches(word.lstrip("-").casefold(), list(bare), n=1)
    return f" Did you mean {bare[found[0]]}?" if found else ""


class ExistsError(UserError, FileExistsError):
    """What would be clobbered; scripts of the starter code expect a FileExistsError."""
