"""A training step and what it needs of the process and the device."""
