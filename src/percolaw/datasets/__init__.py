"""Datasets: points with labels, clusters, splits, truth and provenance; made, saved, streamed."""
