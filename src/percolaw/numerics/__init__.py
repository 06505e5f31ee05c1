"""Neighbours, distances, covariance functions and degrees of freedom of points: arrays in, arrays out."""
