"""Units on more than one machine: Dask distributed behind the executor interface."""

from __future__ import annotations

import importlib
import logging
import subprocess
import sys
import tempfile
import threading
import uuid
from collections.abc import Iterator
from concurrent.futures import Executor
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

from percolaw import checks
from percolaw.errors import RunError
from percolaw.runs.code import experiment_code
from percolaw.runs.workers import (
    GUARD,
    check_main_file,
    check_semaphores,
    default_workers,
    refuse_in_starting_process,
)

_START = (
    "with `dask worker ADDRESS --nthreads 1 --host 127.0.0.1 --no-dashboard` "
    "(--host: the address at which the machine listens)."
)


def tls_security(ca_file: str | None, cert: str | None, key: str | None) -> Any:
    """Return Dask's credentials from files in PEM format, or None if none are given.

    Parameters
    ----------
    ca_file, cert, key : str, optional
        The certificate that signed all others, and this machine's certificate and key; all or none.

    Returns
    -------
    distributed.security.Security or None

    Raises
    ------
    ValueError
        If some of the files are given and others not, or a file does not exist.
    """
    given = {"--tls-ca-file": ca_file, "--tls-cert": cert, "--tls-key": key}
    if not any(given.values()):
        return None
    missing = [flag for flag, file in given.items() if not file]
    if missing:
        raise ValueError(f"{missing[0]} is missing: TLS needs {', '.join(given)}.")
    for flag, file in given.items():
        if not Path(str(file)).is_file():
            raise ValueError(f"{flag}: there is no file {file}.")
    distributed = checks.extra("distributed", "scale")
    return distributed.security.Security(
        require_encryption=True, tls_ca_file=ca_file, tls_client_cert=cert, tls_client_key=key
    )


def temporary_security() -> Any:
    """Return new TLS credentials, for a scheduler that only this process and its children can reach.

    Raises
    ------
    RunError
        If neither the package cryptography nor the program openssl can make them.
    """
    distributed = checks.extra("distributed", "scale")
    try:
        return distributed.security.Security.temporary()
    except ImportError:
        pass
    with tempfile.TemporaryDirectory() as folder:  # readable by this user only
        key, cert = Path(folder, "key.pem"), Path(folder, "cert.pem")
        command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "365"]
        command += ["-subj", "/CN=percolaw", "-keyout", str(key), "-out", str(cert)]
        try:
            subprocess.run(command, check=True, capture_output=True, timeout=60)
        except (OSError, subprocess.SubprocessError) as error:
            raise RunError(
                "--scheduler local protects its processes by TLS, and certificates cannot be made here: "
                "install cryptography or openssl. Without Dask, "
                "--workers measures on this machine."
            ) from error
        text = {"cert": cert.read_text(), "key": key.read_text()}
    roles = ("client", "scheduler", "worker")
    files_of = {f"tls_{role}_{kind}": text[kind] for role in roles for kind in text}
    return distributed.security.Security(
        require_encryption=True, tls_ca_file=text["cert"], **files_of
    )


def _connected(distributed: Any, address: Any, security: Any) -> Any:
    """Connect within 15 seconds, whatever answers: Dask itself waits for a silent server for ever."""
    clients: list[Any] = []

    def connect() -> None:
        try:
            clients.append(
                distributed.Client(address, timeout=10, set_as_default=False, security=security)
            )
        except Exception as error:
            clients.append(error)

    thread = threading.Thread(target=connect, daemon=True)
    thread.start()
    thread.join(15.0)
    if not clients:
        raise TimeoutError("it takes the connection and is silent")
    if isinstance(clients[0], Exception):
        raise clients[0]
    return clients[0]


def _code_of(module: str, name: str) -> str:
    """The code by which this process would measure an experiment; also asked of workers."""
    return experiment_code(getattr(importlib.import_module(module), name))


class SameCode:
    """Plugin of Dask workers: one that joins during a run and has other code leaves again."""

    def __init__(self, module: str, name: str, code: str) -> None:
        self.module, self.experiment, self.code = module, name, code

    def setup(self, worker: Any) -> None:
        """Close the worker before it takes a unit, if its code is another."""
        try:
            code = _code_of(self.module, self.experiment)
        except Exception as error:  # whatever an import can raise
            code = f"none: {error}"
        if code != self.code:
            reason = f"other code ({code}) than the run ({self.code}); install the same percolaw"
            logging.getLogger("distributed.worker").error("leaving: %s", reason)
            worker.loop.add_callback(worker.close, reason=reason)


@contextmanager
def same_code(executor: Executor, cls: type[Any], code: str) -> Iterator[None]:
    """Refuse Dask workers whose code is not that of this process; do nothing for other executors.

    A worker of other code refuses its units faster than the others measure theirs, and would take most
    of them. Workers that join later are asked as well, and leave if they do not fit.

    Parameters
    ----------
    executor : Executor
    cls : type
        The experiment's class.
    code : str
        Its code here, from `percolaw.runs.code.experiment_code`.

    Raises
    ------
    RunError
        If a worker that is there has other code or cannot import the experiment.
    """
    if not type(executor).__module__.startswith("distributed"):
        yield
        return
    import distributed

    client = executor._client  # type: ignore[attr-defined]
    job = (cls.__module__, cls.__name__)
    for address, theirs in client.run(_code_of, *job, on_error="return").items():
        if theirs != code:
            raise RunError(
                f"the Dask worker at {address} has other code than this run ({code}): {theirs}. Stop it, "
                "or install the same percolaw (and the experiment) there."
            )
    name = f"percolaw-{code}-{uuid.uuid4().hex}"
    plugin = type("SameCodePlugin", (SameCode, distributed.WorkerPlugin), {})
    client.register_plugin(plugin(*job, code), name=name)
    try:
        yield
    finally:
        with suppress(Exception):  # the scheduler may be gone
            client.unregister_worker_plugin(name)


@contextmanager
def dask_executor(
    address: str,
    workers: int | None = None,
    security: Any = None,
) -> Iterator[Executor]:
    """Connect to a Dask scheduler, or start one here, and give its executor.

    Parameters
    ----------
    address : str
        ``tls://host:port`` or ``tcp://host:port`` of a running scheduler, or ``local`` for one on this
        machine with `workers` single-threaded processes, which only they and this process can reach.
    workers : int, optional
        Processes of a local scheduler; all cores if None.
    security : distributed.Security, optional
        Credentials for TLS; see `tls_security`. Made anew for a local scheduler.

    Raises
    ------
    RunError
        If no scheduler answers within 15 seconds, it has no workers within 30, or no certificates or
        processes can be made for a local one.
    ValueError
        If `address` is neither ``local`` nor holds ``://``.
    MissingExtraError
        Without the extra ``scale``.

    Notes
    -----
    A unit whose worker dies is measured again on another one; after four deaths (Dask's
    ``allowed-failures`` is 3 by default) it counts as failed. Units are functions of this package, so
    every worker needs the same percolaw; see `same_code`.
    """
    distributed = checks.extra("distributed", "scale")
    logging.getLogger("distributed.client").setLevel(logging.CRITICAL)  # errors are reported here
    import dask

    if address != "local" and "://" not in address:
        raise ValueError(
            f"--scheduler must be 'local' or an address such as tls://host:8786; got {address!r}."
        )
    settings: dict[str, Any] = {"distributed.worker.daemon": False}
    if address == "local":
        refuse_in_starting_process()
        check_main_file()
        check_semaphores()
        # Their pages ask nobody who he is.
        settings |= {
            f"distributed.{role}.http.routes": [] for role in ("scheduler", "worker", "nanny")
        }
    with dask.config.set(settings), ExitStack() as stack:
        cluster: Any = None
        if address == "local":
            security = temporary_security() if security is None else security
            try:
                cluster = distributed.LocalCluster(
                    n_workers=workers or default_workers(),
                    threads_per_worker=1,
                    processes=True,
                    dashboard_address=None,
                    security=security,
                )
            except RuntimeError as error:
                raise RunError(f"Dask's workers do not start ({error}). {GUARD}") from error
            stack.callback(cluster.close)
        elif address.startswith("tcp://"):
            print(
                f"percolaw: {address} is without TLS: whoever reaches it or its workers can run any "
                "program there, and here. docs/running.md says how to protect it.",
                file=sys.stderr,
            )
        try:
            client = _connected(distributed, cluster or address, security)
        except (OSError, TimeoutError) as error:
            raise RunError(
                f"no Dask scheduler answers at {address}: {error}. Start one with `dask scheduler`, "
                f"and workers {_START}"
            ) from error
        stack.callback(client.close)
        try:
            client.wait_for_workers(1, timeout=30)
        except TimeoutError as error:
            raise RunError(
                f"the Dask scheduler at {address} has no workers. Start some {_START}"
            ) from error
        yield client.get_executor(pure=False, retries=0)
