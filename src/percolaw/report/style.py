"""One style for every figure: Okabe-Ito colours, theory dashed, measured with bands."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from percolaw import checks
from percolaw.runs.files import replacing

#: Okabe and Ito's colour-blind safe palette.
BLUE, ORANGE, GREEN, RED, SKY, PURPLE, YELLOW, BLACK = (
    "#0072B2",
    "#E69F00",
    "#009E73",
    "#D55E00",
    "#56B4E9",
    "#CC79A7",
    "#F0E442",
    "#000000",
)
GREY = "#777777"
CYCLE = (BLUE, ORANGE, GREEN, PURPLE, SKY, RED, BLACK)

_SETTINGS = {
    "figure.dpi": 100,
    "savefig.dpi": 200,
    "font.size": 9,
    "axes.titlesize": 9.5,
    "xtick.labelsize": 8,
    "ytick.labelsize": 8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.alpha": 0.25,
    "grid.linewidth": 0.6,
    "legend.frameon": False,
    "legend.fontsize": 8,
    "lines.linewidth": 1.5,
    "figure.constrained_layout.use": True,
    "pdf.fonttype": 42,  # TrueType, which publishers ask for
    "svg.hashsalt": "percolaw",  # the same names of parts every time
}


def shades(n: int) -> list[str]:
    """Return n colours from dark to light, for a parameter that rises."""
    from matplotlib import colormaps
    from matplotlib.colors import to_hex

    return [to_hex(colormaps["plasma"](0.82 * i / max(1, n - 1))) for i in range(n)]


@contextmanager
def styled() -> Iterator[None]:
    """Draw with the house style and no display, whatever the user's settings are."""
    matplotlib = checks.extra("matplotlib", "report")
    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(_SETTINGS)
        yield


def new(n: int = 1, columns: int | None = None, width: float = 5.2, height: float = 3.9) -> Any:
    """Return (figure, axes) not tied to pyplot's global state; axes is always a flat list.

    Parameters
    ----------
    n, columns : int
        Panels, and how many stand in a row: all of them if None.
    width, height : float
        Of one panel, in inches.

    Returns
    -------
    figure, axes : Figure, list of Axes
    """
    from matplotlib.figure import Figure

    columns = columns or n
    rows = -(-n // columns)
    figure = Figure(figsize=(width * columns, height * rows))
    axes = list(figure.subplots(rows, columns, squeeze=False).ravel())
    for spare in axes[n:]:
        spare.set_visible(False)
    return figure, axes[:n]


def save(figure: Any, path: Path, dpi: float | None = None) -> Path:
    """Write a .png, .svg or .pdf atomically, without time stamps, and return its path.

    Parameters
    ----------
    figure : matplotlib.figure.Figure
    path : path
    dpi : float, optional
        Resolution of pixels, 130 by default.

    Returns
    -------
    Path
    """
    suffix = checks.choice("suffix of a figure", path.suffix.lower(), (".png", ".svg", ".pdf"))
    metadata = {
        ".png": {"Software": "percolaw"},
        ".svg": {"Date": None},
        ".pdf": {"CreationDate": None},
    }
    more = {"dpi": dpi} if dpi else {}
    with replacing(path) as part:
        figure.savefig(part, format=suffix[1:], metadata=metadata[suffix], **more)
    return path


def colour_bar(figure: Any, shown: Any, axes: Any, label: str) -> None:
    """Say below all panels what colour is.

    Parameters
    ----------
    figure : matplotlib.figure.Figure
    shown : matplotlib.cm.ScalarMappable
        What was drawn in the colours.
    axes : list of Axes
        Panels that it belongs to.
    label : str
    """
    figure.colorbar(shown, ax=axes, location="bottom", label=label, shrink=0.6, aspect=40, pad=0.03)


def window(axis: Any, low: float, high: float) -> None:
    """Show the sizes on which a fit or comparison was made.

    Parameters
    ----------
    axis : matplotlib.axes.Axes
    low, high : float
        Ends, in units of the axis.
    """
    axis.axvspan(low, high, color="#999999", alpha=0.10, linewidth=0)


def plain_numbers(axis: Any) -> None:
    """Label a logarithmic axis of less than three decades by plain numbers, few enough to be read."""
    from matplotlib.ticker import LogLocator, MaxNLocator, NullFormatter, NullLocator

    low, high = axis.get_view_interval()
    if axis.get_scale() != "log" or not 0.0 < low < high < 1000.0 * low:
        return
    decades = np.log10(high / low)
    if decades > 1.0 and not 1e-3 <= low < high < 1e5:
        return
    if decades <= 0.4:  # such an axis is nearly linear
        axis.set_major_locator(MaxNLocator(5))
        axis.set_major_formatter("{x:g}")
        axis.set_minor_locator(NullLocator())
        return
    short = (1, 1.2, 1.5, 2, 3, 4, 5, 6, 8)
    subs = short if decades <= 0.7 else (1, 2, 3, 5) if decades <= 1.2 else (1, 2, 5)
    axis.set_major_locator(LogLocator(subs=subs if decades <= 2.0 else (1, 3), numticks=20))
    axis.set_major_formatter("{x:g}")
    axis.set_minor_formatter(NullFormatter())
