"""Percolation on the hypercubic lattice Z^d: boxes, their Newman-Ziff sweep, clusters grown alone."""
