"""Percolation clusters as trees: grown freely, conditioned on size, in ensembles."""
