"""What is known exactly: Bethe lattice, Z^d, cluster sizes, scaling laws, optimal allocation."""
