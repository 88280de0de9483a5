"""Datasets, minibatches, the protocol's fixed subsets."""
