"""What a representation knows of the latents of its data: ceilings, probes, dictionaries and their scores."""
