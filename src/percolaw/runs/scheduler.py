"""Units on more than one machine: Dask distributed behind the executor interface."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from concurrent.futures import Executor
from contextlib import contextmanager
from typing import Any

from percolaw import checks
from percolaw.errors import RunError


def _connected(distributed: Any, address: Any) -> Any:
    """Connect within 15 seconds, whatever answers: Dask itself waits for a silent server for ever."""
    found: list[Any] = []

    def connect() -> None:
        try:
            found.append(distributed.Client(address, timeout=10, set_as_default=False))
        except Exception as error:
            found.append(error)

    thread = threading.Thread(target=connect, daemon=True)
    thread.start()
    thread.join(15.0)
    if not found:
        raise TimeoutError("it takes the connection and is silent")
    if isinstance(found[0], Exception):
        raise found[0]
    return found[0]


@contextmanager
def dask_executor(address: str, workers: int | None = None) -> Iterator[Executor]:
    """Connect to a Dask scheduler, or start one here, and give its executor.

    Parameters
    ----------
    address : str
        ``tcp://host:port`` of a running scheduler, or ``local`` for one on this machine with
        `workers` single-threaded processes.
    workers : int, optional
        Processes of a local scheduler; all cores if None.

    Raises
    ------
    RunError
        If no scheduler answers within 10 seconds, or it has no workers within 30.

    Notes
    -----
    A unit whose worker dies is measured again on another one; after three deaths it counts as
    failed. Units are functions of this package, so every worker needs the same percolaw; they
    refuse to work with another version.
    """
    distributed = checks.extra("distributed", "scale")
    logging.getLogger("distributed.client").setLevel(logging.CRITICAL)  # errors are reported here
    import dask

    with dask.config.set({"distributed.worker.daemon": False}):
        cluster: Any = None
        if address == "local":
            from percolaw.runs.workers import default_workers

            cluster = distributed.LocalCluster(
                n_workers=workers or default_workers(),
                threads_per_worker=1,
                processes=True,
                dashboard_address=None,
            )
        elif "://" not in address:
            raise ValueError(
                f"--scheduler must be 'local' or an address such as tcp://host:8786; got {address!r}."
            )
        try:
            client = _connected(distributed, cluster or address)
        except (OSError, TimeoutError) as error:
            raise RunError(
                f"no Dask scheduler answers at {address}: {error}. Start one with `dask scheduler`, "
                "and workers with `dask worker ADDRESS --nthreads 1`."
            ) from error
        try:
            client.wait_for_workers(1, timeout=30)
            yield client.get_executor(pure=False, retries=0)
        except TimeoutError as error:
            raise RunError(
                f"the Dask scheduler at {address} has no workers. Start some with "
                "`dask worker ADDRESS --nthreads 1`."
            ) from error
        finally:
            client.close()
            if cluster is not None:
                cluster.close()
