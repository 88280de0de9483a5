"""The one exception for mistakes that the person at the keyboard can mend."""


class UserError(Exception):
    """One clear sentence: what is wrong, where, what to do. Scripts print it, no traceback.

    It may quote a file, so what could break the line or steer a terminal is left out.
    """

    def __init__(self, sentence):
        super().__init__("".join(c if c.isprintable() else " " for c in sentence))


class ExistsError(UserError, FileExistsError):
    """What would be clobbered; scripts of the starter code expect a FileExistsError."""
