"""The one exception for mistakes that the person at the keyboard can mend."""


class UserError(Exception):
    """One clear sentence: what is wrong, where, what to do. Scripts print it, no traceback."""
