"""Experiments on real lattices Z^d, beside the Bethe lattice."""
