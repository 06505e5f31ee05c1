"""Experiments with learners in context (extra ``nn``)."""
