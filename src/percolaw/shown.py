"""Pictures of objects: asked of the object, made by the report.

What is drawn (a curve, a dataset, claims) stands below the report and knows nothing of it. So ``plot`` of
such an object asks here, and the top of the package, which knows both, has said who answers: `painter`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

#: Draws an object of a kind into Matplotlib axes (new ones for None) and returns the axes; set by
#: ``percolaw/__init__.py`` to `percolaw.report.shown.draw`.
painter: Callable[[str, Any, Any], Any] | None = None


def draw(kind: str, shown: Any, ax: Any) -> Any:
    """Draw an object into axes, and return them.

    Parameters
    ----------
    kind : str
        What it is: one of `percolaw.report.shown.PAINTERS`.
    shown : object
    ax : matplotlib.axes.Axes or None
        New ones for None.

    Returns
    -------
    matplotlib.axes.Axes

    Raises
    ------
    RuntimeError
        If nobody was said to draw.
    """
    if painter is None:
        raise RuntimeError("nobody draws: percolaw.shown.painter is not set.")
    return painter(kind, shown, ax)
