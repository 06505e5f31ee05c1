"""Numba kernels: typed arrays in, arrays out; no checks, no printing, no hidden randomness.

Every kernel is made by `compilation.kernel`, whose cache of machine code follows the sources of them all.
"""
