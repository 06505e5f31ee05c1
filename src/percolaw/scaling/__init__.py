"""Learning curves: measured, fitted with intervals, diagnosed; arrays in, arrays out."""
