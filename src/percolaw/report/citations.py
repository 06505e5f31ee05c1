"""What to cite beside a result."""

from __future__ import annotations

#: Text in a claim's or experiment's source -> what to cite.
SOURCES = {
    "Brill 2024": """@article{brill2024,
  title   = {Neural Scaling Laws Rooted in the Data Distribution},
  author  = {Brill, Ari},
  year    = {2024},
  journal = {arXiv preprint arXiv:2412.07942},
  url     = {https://arxiv.org/abs/2412.07942}
}""",
    "2025 write-up": """@misc{deepdatastructure2025,
  title = {Investigating Neural Scaling Laws Emerging from Deep Data Structure},
  year  = {2025}
}""",
    "Brown et al. 2020": """@article{brown2020,
  title   = {Language Models are Few-Shot Learners},
  author  = {Brown, Tom B. and others},
  year    = {2020},
  journal = {arXiv preprint arXiv:2005.14165},
  url     = {https://arxiv.org/abs/2005.14165}
}""",
    "Hoffmann et al. 2022": """@article{hoffmann2022,
  title   = {Training Compute-Optimal Large Language Models},
  author  = {Hoffmann, Jordan and others},
  year    = {2022},
  journal = {arXiv preprint arXiv:2203.15556},
  url     = {https://arxiv.org/abs/2203.15556}
}""",
}
