"""Experiments on clusters embedded in R^d: neighbours, faithfulness, pictures, dimension."""
