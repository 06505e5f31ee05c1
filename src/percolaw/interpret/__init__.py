"""What a representation knows of the latents of its data: ceilings, probes, dictionaries, scores."""
