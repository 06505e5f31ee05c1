"""Experiments on hierarchies of latents: who can learn them, and what networks know of them."""
