"""Neural students, many trained at once (PyTorch; the extra ``nn``).

`networks` says what a student is, `training` trains a batch of them, and `measures` asks trained ones
about dimension and degrees of freedom.
"""
