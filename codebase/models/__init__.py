"""The models, and what they are made of."""

# First, because the utils.py of a solution of the assignment may import its models at its top, as
# the starter code's does, and would meet one half done that is imported before it.
import codebase.utils  # noqa: F401
