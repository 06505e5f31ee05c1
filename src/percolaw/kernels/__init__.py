"""Numba kernels: typed arrays in, arrays out; no checks, no printing, no hidden randomness.

After editing `random.py` run ``make clean``: kernels that inline it are cached by their own file.
"""
