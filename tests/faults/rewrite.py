"""Writes over the checkpoint it is given; test_kill.py kills it while it does."""

import sys

from codebase.files import checkpoints

checkpoints.save(sys.argv[1], ["new"])
