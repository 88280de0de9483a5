"""Files a run leaves: written whole or not at all, read without trusting them."""
