"""What to cite beside a result, and where the things that a source names can be read."""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache
from importlib import metadata

from percolaw.report.markup import text
from percolaw.version import __version__

#: Text in a claim's or experiment's source -> what to cite.
SOURCES = {
    "Brill 2024": """@article{brill2024,
  title   = {Neural Scaling Laws Rooted in the Data Distribution},
  author  = {Brill, Ari},
  year    = {2024},
  journal = {arXiv preprint arXiv:2412.07942},
  url     = {https://arxiv.org/abs/2412.07942}
}""",
    "Brill 2025": """@article{brill2025,
  title   = {Representation Learning on a Random Lattice},
  author  = {Brill, Aryeh},
  year    = {2025},
  journal = {arXiv preprint arXiv:2504.20197},
  url     = {https://arxiv.org/abs/2504.20197}
}""",
    "Liu, Liu, Gore 2025": """@article{liu2025,
  title   = {Superposition Yields Robust Neural Scaling},
  author  = {Liu, Yizhou and Liu, Ziming and Gore, Jeff},
  year    = {2025},
  journal = {arXiv preprint arXiv:2505.10465},
  url     = {https://arxiv.org/abs/2505.10465}
}""",
    "Chanin et al. 2024": """@article{chanin2024,
  title   = {A is for Absorption: Studying Feature Splitting and Absorption in Sparse Autoencoders},
  author  = {Chanin, David and others},
  year    = {2024},
  journal = {arXiv preprint arXiv:2409.14507},
  url     = {https://arxiv.org/abs/2409.14507}
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

#: Identifiers in the text of a source, and the addresses they stand for.
_ADDRESSES = (
    (re.compile(r"arXiv:(\d{4}\.\d{4,5})"), "https://arxiv.org/abs/{}"),
    (
        re.compile(r"\b((?:cond-mat|hep-lat|math-ph|math|q-bio|stat)/\d{7})\b"),
        "https://arxiv.org/abs/{}",
    ),
    (re.compile(r"doi:(10\.\d{4,9}/[A-Za-z0-9._;()/-]*[A-Za-z0-9])"), "https://doi.org/{}"),
)
_DOCS = re.compile(r"\b(docs/[a-z0-9-]+\.md)\b")


def bibtex(sources: Iterable[str]) -> str:
    """Return BibTeX of what texts of sources name, and of the software."""
    texts = tuple(sources)
    cited = [entry for name, entry in SOURCES.items() if any(name in source for source in texts)]
    software = f"""@software{{percolaw,
  title   = {{percolaw}},
  author  = {{{{The percolaw authors}}}},
  version = {{{__version__}}},
  note    = {{MIT license}}
}}"""
    return "\n\n".join([*cited, software])


@lru_cache(maxsize=1)
def repository() -> str | None:
    """Return the address of the code, from what the installed package says of itself; None if nothing."""
    try:
        named = metadata.metadata("percolaw").get_all("Project-URL") or []
    except metadata.PackageNotFoundError:
        return None
    pairs = [entry.partition(", ")[::2] for entry in named]
    return next(
        (
            address.rstrip("/")
            for name, address in pairs
            if name.lower() in ("repository", "source") and address.startswith("https://")
        ),
        None,
    )


def at_commit(commit: object, path: str = "") -> str | None:
    """Return the address of the code, or of a file of it, as of a commit; None where it is not known.

    Parameters
    ----------
    commit : str
        As a record has it.
    path : str
        Inside the repository.

    Returns
    -------
    str or None
    """
    address = repository()
    if address is None or not isinstance(commit, str) or not re.fullmatch("[0-9a-f]{7,40}", commit):
        return None
    return f"{address}/blob/{commit}/{path}" if path else f"{address}/tree/{commit}"


def link(address: str, words: str) -> str:
    """Return a link to another place, as HTML; nothing is loaded from there.

    Parameters
    ----------
    address : str
        Begins with https.
    words : str
        Shown; any text.

    Returns
    -------
    str
    """
    return f'<a href="{text(address)}" rel="noopener noreferrer">{text(words)}</a>'


def linked(source: str, commit: object = None) -> str:
    """Return the text of a source as HTML with links to papers, and to the docs as of a commit.

    Parameters
    ----------
    source : str
        Any text.
    commit : str, optional
        Of the run.

    Returns
    -------
    str
    """
    places = []  # (start, end, address)
    for pattern, address in _ADDRESSES:
        places += [(*m.span(), address.format(m[1])) for m in pattern.finditer(source)]
    for name, entry in SOURCES.items():
        paper = re.search(r"url\s*= \{(https://[^}]+)\}", entry)
        if paper and name in source:
            start = source.index(name)
            places.append((start, start + len(name), paper[1]))
    for m in _DOCS.finditer(source):
        where = at_commit(commit, m[1])
        if where is not None:
            places.append((*m.span(), where))
    pieces, done = [], 0
    for start, end, address in sorted(places):
        if start < done:
            continue
        pieces += [text(source[done:start]), link(address, source[start:end])]
        done = end
    return "".join([*pieces, text(source[done:])])
