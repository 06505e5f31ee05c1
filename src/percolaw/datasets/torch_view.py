"""A torch Dataset over a `Dataset`; imported only when asked for."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np

from percolaw import checks
from percolaw.datasets.stored_rows import stored_rows

torch = checks.extra("torch", "nn")

#: Rows that are asked whether float32 can hold them.
ROWS_CHECKED = 10_000


class Rows(Protocol):
    """What is asked of a `percolaw.Dataset`."""

    @property
    def X(self) -> Any:
        """Points, (n, d)."""
        ...

    @property
    def y(self) -> Any:
        """Labels, (n,) or (n, n_outputs)."""
        ...

    def __len__(self) -> int: ...

    def take(self, rows: Any) -> Rows:
        """Return the rows of these numbers."""
        ...


class TorchView(torch.utils.data.Dataset):  # type: ignore[misc, name-defined]
    """Rows as float32 tensors; `__getitems__` reads a batch of rows at once."""

    def __init__(self, data: Rows) -> None:
        if data.X.dtype != np.float32:
            checks.single("X", np.asarray(data.X[:ROWS_CHECKED]))
        checks.single("y", data.y)
        self.data = data
        self.stored = stored_rows(data.X)

    def __len__(self) -> int:
        return len(self.data)

    def __repr__(self) -> str:
        return f"TorchView({self.data!r})"

    def __getitem__(self, index: int) -> tuple[Any, Any]:
        return self.__getitems__([index])[0]

    def __getitems__(self, indices: list[int]) -> list[tuple[Any, Any]]:
        rows = np.asarray(indices, dtype=np.int64)
        x = self.data.take(rows).X if self.stored is None else self.stored.take(rows)
        tensors = (
            torch.from_numpy(np.asarray(a, dtype=np.float32)) for a in (x, self.data.y[rows])
        )
        return list(zip(*tensors, strict=True))
