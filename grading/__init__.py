"""Judging submissions of the assignment by what their code computes.

`judge` and what it imports run in the grader's process; `worker` and `lockdown` run in a process
of their own beside the submission, and know nothing of what is expected.
"""
