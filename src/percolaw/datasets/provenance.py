"""Where made data come from: one description for every maker."""

from __future__ import annotations

import math
from typing import Any

from percolaw.rng import STREAM_VERSION, Streams
from percolaw.version import __version__


def provenance(maker: str, streams: Streams, **arguments: Any) -> dict[str, Any]:
    """Return maker, arguments, random streams and versions as plain values; infinity is "inf".

    Data with equal provenance are equal: `arguments` must hold all that the data depend on.

    Parameters
    ----------
    maker : str
    streams : Streams
    **arguments
        Arguments of the maker.

    Returns
    -------
    dict
    """
    plain = {k: ("inf" if v == math.inf else v) for k, v in arguments.items()}
    return {
        "maker": maker,
        **plain,
        "seed": streams.seed,
        "path": list(streams.path),
        "percolaw": __version__,
        "stream_version": STREAM_VERSION,
    }
