"""Train, evaluate and sample any model of the catalogue: run.py NAME, or run.py --list."""

import sys

from codebase.command import named

if __name__ == "__main__":
    named(sys.argv[1:])
