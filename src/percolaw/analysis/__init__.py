"""Real data as percolation clusters."""
