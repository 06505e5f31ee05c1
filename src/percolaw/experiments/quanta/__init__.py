"""Quanta: discrete skills, when networks and percolation clusters have them, and how to find them."""
