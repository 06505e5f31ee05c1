"""Runs: units of work executed anywhere, kept as they finish, concluded from what was kept."""
