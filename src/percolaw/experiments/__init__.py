"""Experiments, one class each; `base` holds the protocol, `registry` their names."""
