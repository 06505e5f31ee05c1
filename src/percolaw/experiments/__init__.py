"""Experiments, one file and one claim each; `base` holds the protocol, `registry` their names."""
