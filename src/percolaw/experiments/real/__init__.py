"""Experiments on real data, and on data of known state that the analysis of real data is tried on."""
