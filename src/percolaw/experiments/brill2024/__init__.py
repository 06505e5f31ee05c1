"""Experiments of "Neural Scaling Laws Rooted in the Data Distribution" (2024): clusters as trees."""
