"""Experiments with teachers on points and kernel students."""
