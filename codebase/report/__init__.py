"""What the assignment asks to hand in, made from the runs on disk."""
