"""Numbers with standard errors, and what stands beside them."""
