"""Intrinsic dimension of points: estimators, their intervals, and how far to trust them."""
