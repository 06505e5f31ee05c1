"""Learning curves: measured of whatever has fit and predict, fitted with intervals, diagnosed."""
