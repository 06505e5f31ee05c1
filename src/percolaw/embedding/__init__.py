"""Clusters as points in R^d: branching random walks, on whole trees or on what points span."""
