"""Pictures of objects: asked of the object, made by the report.

What is drawn (a curve, a dataset, claims) stands below the report and knows nothing of it. So ``plot`` of
such an object asks `Drawable.painter`, which the top of the package, which knows both, has set.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar


class Drawable:
    """An object that can draw itself."""

    picture: ClassVar[str]
    """What is drawn of it: one of `percolaw.report.shown.PAINTERS`."""
    painter: ClassVar[Callable[[str, Any, Any], Any]]
    """`percolaw.report.shown.draw`, set by ``percolaw/__init__.py``."""

    def plot(self, ax: Any = None) -> Any:
        """Draw it as the report does.

        Of a curve: losses with their band over seeds, the fit and the prediction. Of claims: how far each
        measured value is from the predicted one, in tolerances. Of a report on dimension: estimates
        against the number of points; one dimension is flat. Of a dataset: up to 5000 points in the plane
        of their largest variance, coloured by the first label.

        Parameters
        ----------
        ax : matplotlib.axes.Axes, optional
            Drawn into; a new figure if None.

        Returns
        -------
        matplotlib.axes.Axes

        Raises
        ------
        MissingExtraError
            Without Matplotlib.
        """
        return Drawable.painter(self.picture, self, ax)
