"""Experiments with neural students (extra ``nn``)."""
