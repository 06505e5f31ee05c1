"""Functions to learn: random walks on trees, and teachers on points."""
