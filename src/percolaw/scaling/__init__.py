"""Predicted curves, optimal allocation, fits and diagnosis; arrays in, arrays out."""
