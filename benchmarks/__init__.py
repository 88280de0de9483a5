"""Speed and memory of this project, measured beside a textbook solution: see speed.py."""
