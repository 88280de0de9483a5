"""What is logged, measured and drawn of a kind of model."""
