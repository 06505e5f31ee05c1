"""Compiled kernels: typed arrays in, arrays out; no checks, no printing, no hidden randomness."""
