"""Units on a Dask scheduler, real processes on 127.0.0.1: results, who may reach it, who may measure."""

import asyncio
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from contextlib import contextmanager
from pathlib import Path

import pytest
from fault_toy import (
    TESTS,
    FaultToy,
    begun,
    clean,
    content,
    done,
    flags,
    lines,
    register,
    toy,
    undisturbed,
    until,
)
from fault_toy import command as percolaw_command

import percolaw
from percolaw.cli import main
from percolaw.errors import RunError
from percolaw.experiments.base import config_dict
from percolaw.runs import executor as executor_module
from percolaw.runs.code import experiment_code
from percolaw.runs.executor import measure_unit
from percolaw.runs.run import default_folder

distributed = pytest.importorskip("distributed")

from percolaw.runs import scheduler as scheduler_module  # noqa: E402
from percolaw.runs.scheduler import dask_executor, temporary_security, tls_security  # noqa: E402


@pytest.fixture(autouse=True)
def _toy_is_known(monkeypatch):
    register(monkeypatch)


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return sock.getsockname()[1]


#: What Dask looks at many times a second while nothing happens.
SELDOM = {
    "DASK_DISTRIBUTED__ADMIN__TICK__INTERVAL": "500ms",
    "DASK_DISTRIBUTED__ADMIN__SYSTEM_MONITOR__INTERVAL": "5s",
    "DASK_DISTRIBUTED__WORKER__PROFILE__ENABLED": "False",
}


def dask(*words: object) -> subprocess.Popen:
    """A real `dask` command, without dashboard, that finds the toy."""
    path = os.pathsep.join([*filter(None, [os.environ.get("PYTHONPATH")]), str(TESTS)])
    return subprocess.Popen(
        [sys.executable, "-m", "dask", *map(str, words)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env={**os.environ, **SELDOM, "PYTHONPATH": path, "PYTHONNOUSERSITE": "1"},
    )


def stop(process: subprocess.Popen) -> None:
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


class Cluster:
    """A scheduler, and workers as one likes."""

    def __init__(self) -> None:
        self.address = f"tcp://127.0.0.1:{free_port()}"
        host = ("--host", "127.0.0.1", "--no-dashboard")
        port = self.address.rsplit(":", 1)[1]
        self.scheduler = dask("scheduler", *host, "--port", port)
        self.workers: list[subprocess.Popen] = []

    def add_worker(self, *words: object) -> subprocess.Popen:
        common = ("--nthreads", 1, "--no-dashboard", "--host", "127.0.0.1", "--no-nanny")
        self.workers.append(dask("worker", self.address, *common, *words))
        return self.workers[-1]

    def close(self) -> None:
        for process in [*self.workers, self.scheduler]:
            stop(process)


@contextmanager
def cluster(n_workers: int):
    made = Cluster()
    try:
        for _ in range(n_workers):
            made.add_worker()
        yield made
    finally:
        made.close()


@pytest.fixture(scope="module")
def shared():
    """One scheduler with a worker for the tests that leave them alone."""
    with cluster(1) as made:
        yield made


def test_result_is_the_same_as_in_this_process(tmp_path, shared):
    experiment = toy(tmp_path, n_units=40)
    with dask_executor(shared.address) as executor:
        result = percolaw.run(experiment, out=tmp_path / "runs", executor=executor)
    assert content(result.folder) == undisturbed(experiment, tmp_path)
    assert sorted(begun(experiment)) == list(range(40))
    places = {place for _, _, _, place in done(result.folder).values()}
    assert {int(place.rsplit(":", 1)[1]) for place in places} <= {w.pid for w in shared.workers}


def test_command_line_measures_on_a_scheduler(tmp_path, shared):
    experiment = toy(tmp_path, n_units=10)
    given = [*flags(experiment, tmp_path / "runs"), "--scheduler", shared.address]
    assert main([str(x) for x in given]) == 0
    folder = default_folder(experiment, tmp_path / "runs")
    assert content(folder) == undisturbed(experiment, tmp_path)
    assert {pid for _, _, pid in lines(experiment)} <= {w.pid for w in shared.workers}
    seen = len(begun(experiment))
    assert main(["resume", str(folder), "--scheduler", shared.address, "--no-figures"]) == 0
    assert len(begun(experiment)) == seen


def test_failed_units_are_reported_and_retried(tmp_path, shared):
    experiment = toy(tmp_path, n_units=8, at=(2, 5), how="fail")
    broken = Path(experiment.log + ".broken")
    broken.touch()
    with (
        dask_executor(shared.address) as executor,
        pytest.raises(RunError, match=r"2 unit\(s\) .*ArithmeticError: unit [25] is broken"),
    ):
        percolaw.run(experiment, out=tmp_path / "runs", executor=executor)
    broken.unlink()
    seen = len(begun(experiment))
    folder = default_folder(experiment, tmp_path / "runs")
    assert main(["retry", str(folder), "--scheduler", shared.address, "--no-figures"]) == 0
    assert sorted(begun(experiment)[seen:]) == [2, 5]


def test_worker_of_other_code_refuses(tmp_path, shared, monkeypatch):
    experiment = toy(tmp_path, n_units=3)

    def other(module, name, fields, code, cell, *more):
        return measure_unit(module, name, fields, "0123456789abcdef", cell)

    job = ("fault_toy", "FaultToy", config_dict(experiment)["config"])
    with dask_executor(shared.address) as executor:
        found = executor.submit(measure_unit, *job, "0123456789abcdef", {"unit": 1}).result(30)
        same = executor.submit(measure_unit, *job, experiment_code(FaultToy), {"unit": 1}).result(
            30
        )
    assert found.rows is None
    assert "runs other code" in found.error
    assert (
        f"({experiment_code(FaultToy)}) than this run (0123456789abcdef); install the same"
        in found.error
    )
    assert same.rows is not None
    assert begun(experiment) == [1]

    monkeypatch.setattr(executor_module, "measure_unit", other)
    with pytest.raises(RunError, match=r"3 unit\(s\).*runs other code.*install the same there"):
        percolaw.run(experiment, out=tmp_path / "runs")


@pytest.mark.slow
def test_killed_worker_loses_nothing(tmp_path):
    experiment = toy(tmp_path, n_units=40, seconds=0.05)
    folder = default_folder(experiment, tmp_path / "runs")
    with cluster(2) as made:
        process = subprocess.Popen(
            percolaw_command(*flags(experiment, tmp_path / "runs"), "--scheduler", made.address),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        until(lambda: len(done(folder)) >= 8 or process.poll() is not None)
        made.workers[0].send_signal(signal.SIGKILL)
        made.add_worker()
        before = done(folder)
        _, err = process.communicate(timeout=100)
        assert process.returncode == 0, err
        assert before.items() <= done(folder).items()
        killed = made.workers[0].pid
        ended = {(unit, pid) for what, unit, pid in lines(experiment) if what == "end"}
        again = [unit for unit in range(40) if begun(experiment).count(unit) > 1]
        assert len(again) <= 3, "more than the unit at hand and results not yet handed over"
        handed_over = {u for u, (*_, place) in done(folder).items() if place.endswith(f":{killed}")}
        assert {unit for unit, pid in ended if pid != killed} >= set(range(40)) - handed_over
    assert content(folder) == undisturbed(experiment, tmp_path)


@pytest.mark.slow
def test_unit_that_kills_three_workers_is_reported(tmp_path):
    experiment = toy(tmp_path, n_units=10, at=(4,), how="die")
    Path(experiment.log + ".broken").touch()
    with cluster(0) as made:
        for _ in range(5):
            made.add_worker()
        given = [*flags(experiment, tmp_path / "runs"), "--scheduler", made.address]
        ended = subprocess.run(
            percolaw_command(*given), capture_output=True, text=True, timeout=100
        )
    assert ended.returncode == 1
    assert "WorkerLost" in ended.stderr
    # Dask blames a death on all units that the worker had been given, not only the one at hand.
    kept = set(done(default_folder(experiment, tmp_path / "runs")))
    assert 4 not in kept
    assert len(kept) >= 5
    Path(experiment.log + ".broken").unlink()
    percolaw.run(experiment, out=tmp_path / "runs")
    assert not set(begun(experiment)[-(10 - len(kept)) :]) & kept


def test_no_workers_and_a_killed_scheduler_are_clear_errors(tmp_path, monkeypatch, capsys):
    experiment = toy(tmp_path, n_units=100, seconds=0.1)
    folder = default_folder(experiment, tmp_path / "runs")
    wait = distributed.Client.wait_for_workers
    monkeypatch.setattr(
        distributed.Client, "wait_for_workers", lambda self, n, timeout: wait(self, n, timeout=0.5)
    )
    with cluster(0) as made:
        given = [*flags(experiment, tmp_path / "runs"), "--scheduler", made.address]
        assert main([str(x) for x in given]) == 1
        assert "has no workers. Start some with `dask worker" in capsys.readouterr().err
        made.add_worker()
        process = subprocess.Popen(
            percolaw_command(*given), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        try:
            until(lambda: len(done(folder)) >= 3 or process.poll() is not None)
            made.scheduler.kill()
            _, err = process.communicate(timeout=25)
        finally:
            process.kill()
            process.communicate()
    assert process.returncode == 1
    assert clean(err)
    assert "scheduler" in err


@pytest.mark.slow
def test_no_scheduler_is_a_clear_error_within_15_seconds(tmp_path, capsys):
    address = f"tcp://127.0.0.1:{free_port()}"
    started = time.monotonic()
    given = [*flags(toy(tmp_path), tmp_path / "runs"), "--scheduler", address]
    assert main([str(x) for x in given]) == 1
    assert time.monotonic() - started < 15
    err = capsys.readouterr().err
    assert f"percolaw: no Dask scheduler answers at {address}" in err
    assert "Start one with `dask scheduler`" in err
    assert not begun(toy(tmp_path))


@pytest.mark.parametrize(
    ("address", "code", "text"),
    [
        ("127.0.0.1:8786", 2, "must be 'local' or an address such as tls://host:8786"),
        ("", 2, "must be 'local' or an address"),
        ("loca", 2, "must be 'local' or an address"),
        ("nonsense://127.0.0.1:1", 2, "nonsense"),
        ("tcp://127.0.0.1:99999", 1, "no Dask scheduler answers"),
        ("tcp://no-such-host.invalid:8786", 1, "no Dask scheduler answers"),
        ("tcp://127.0.0.1", 2, "missing port number"),
    ],
)
def test_wrong_addresses(tmp_path, capsys, monkeypatch, address, code, text):
    client = distributed.Client
    monkeypatch.setattr(
        distributed, "Client", lambda address, **kw: client(address, **{**kw, "timeout": 1})
    )
    given = [*flags(toy(tmp_path), tmp_path / "runs"), "--scheduler", address]
    assert main([str(x) for x in given]) == code
    assert text in capsys.readouterr().err


@pytest.mark.slow
def test_silent_server_is_a_clear_error_within_20_seconds(tmp_path):
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        sock.listen()
        address = f"tcp://127.0.0.1:{sock.getsockname()[1]}"
        given = [*flags(toy(tmp_path), tmp_path / "runs"), "--scheduler", address]
        ended = subprocess.run(percolaw_command(*given), capture_output=True, text=True, timeout=20)
    assert ended.returncode == 1
    assert f"no Dask scheduler answers at {address}" in ended.stderr


def test_timeout_is_refused_with_a_scheduler(tmp_path, capsys):
    given = [*flags(toy(tmp_path), tmp_path / "runs"), "--scheduler", "local", "--timeout", 5]
    assert main([str(x) for x in given]) == 2
    assert "--timeout is for local workers" in capsys.readouterr().err
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize("alone", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_local_cluster(tmp_path, capfd, alone):
    """From a command in this process, or in one of its own, which ends."""
    experiment = toy(tmp_path, n_units=20)
    given = [*flags(experiment, tmp_path / "runs", 2), "--scheduler", "local"]
    code = (
        subprocess.run(percolaw_command(*given)).returncode if alone else main([*map(str, given)])
    )
    said = capfd.readouterr().err
    assert code == 0, said
    assert clean(said)
    folder = default_folder(experiment, tmp_path / "runs")
    assert content(folder) == undisturbed(experiment, tmp_path)
    assert os.getpid() not in {pid for _, _, pid in lines(experiment)}


def test_missing_distributed_names_the_extra(tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "distributed", None)
    given = [*flags(toy(tmp_path), tmp_path / "runs"), "--scheduler", "local"]
    assert main([str(x) for x in given]) == 1
    assert "pip install -e '.[scale]'" in capsys.readouterr().err


# --- who may reach it ----------------------------------------------------------------------


def reached(address: str) -> bool:
    """Whether a stranger without credentials gets an answer, by either protocol."""

    async def ask(there: str) -> bool:
        try:
            comm = await asyncio.wait_for(distributed.comm.connect(there, timeout=2), 4)
        except Exception:
            return False
        try:
            await comm.write({"op": "identity", "reply": True})
            return bool(await asyncio.wait_for(comm.read(), 4))
        except Exception:
            return False
        finally:
            comm.abort()

    return asyncio.run(ask("tcp://" + address.split("://")[1]))


@pytest.mark.parametrize("package", [True, pytest.param(False, marks=pytest.mark.slow)])
def test_local_scheduler_answers_nobody_else(tmp_path, monkeypatch, package):
    """With certificates by the package cryptography, where it is installed, and by openssl."""
    if package:
        pytest.importorskip("cryptography")
    else:
        monkeypatch.setitem(sys.modules, "cryptography", None)
    with dask_executor("local", 1) as executor:
        client = executor._client
        addresses = [client.scheduler.address, *client.scheduler_info()["workers"]]
        assert executor.submit(abs, -3).result(30) == 3
        for address in addresses:
            assert address.startswith("tls://127.0.0.1:")
            assert not reached(address), address
        port = client.scheduler_info()["services"]["dashboard"]  # which has no pages
        for page in ("json/identity.json", "health", "metrics", "info/main/workers.html"):
            with pytest.raises(urllib.error.HTTPError, match="404"):
                urllib.request.urlopen(f"http://127.0.0.1:{port}/{page}", timeout=10)


def test_the_stranger_would_be_answered_without_credentials(shared):
    until(lambda: reached(shared.address))


def test_no_way_to_make_certificates_is_a_sentence(monkeypatch):
    monkeypatch.setitem(sys.modules, "cryptography", None)
    monkeypatch.setenv("PATH", "/nonexistent")
    with pytest.raises(RunError, match="install cryptography"):
        temporary_security()


def test_open_scheduler_gives_one_line(tmp_path, shared, capsys):
    given = [*flags(toy(tmp_path, n_units=3), tmp_path / "runs"), "--scheduler", shared.address]
    assert main([str(x) for x in given]) == 0
    lines = [line for line in capsys.readouterr().err.splitlines() if line]
    assert len(lines) == 1
    assert "without TLS" in lines[0]


def certificates(folder: Path) -> dict[str, Path]:
    files = {"cert": folder / "cert.pem", "key": folder / "key.pem"}
    command = [
        "openssl",
        "req",
        "-x509",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:prime256v1",
        "-nodes",
        "-days",
        "2",
        "-subj",
        "/CN=percolaw",
    ]
    subprocess.run(
        [*command, "-keyout", str(files["key"]), "-out", str(files["cert"])],
        check=True,
        capture_output=True,
    )
    return files


@pytest.mark.slow
def test_scheduler_with_certificates_of_ones_own(tmp_path):
    files = certificates(tmp_path)
    tls = [
        *("--tls-ca-file", str(files["cert"]), "--tls-cert", str(files["cert"])),
        *("--tls-key", str(files["key"])),
    ]
    address = f"tls://127.0.0.1:{free_port()}"
    common = ["--host", "127.0.0.1", "--no-dashboard", *tls]
    started = [
        dask("scheduler", "--protocol", "tls", "--port", address.rsplit(":", 1)[1], *common),
        dask("worker", address, "--nthreads", "1", "--no-nanny", *common),
    ]
    experiment = toy(tmp_path, n_units=5)
    try:
        given = [*flags(experiment, tmp_path / "runs"), "--scheduler", address, *tls]
        assert main([str(x) for x in given]) == 0
        assert sorted(begun(experiment)) == list(range(5))
        assert not reached(address)
        assert main([str(x) for x in given[: -len(tls)]]) != 0
    finally:
        for process in started:
            stop(process)


@pytest.mark.parametrize(
    ("given", "text"),
    [
        (("a", None, "c"), "--tls-cert is missing"),
        (("/nonexistent/ca", "b", "c"), "--tls-ca-file: there is no file /nonexistent/ca"),
    ],
)
def test_incomplete_credentials(given, text):
    with pytest.raises(ValueError, match=text):
        tls_security(*given)


def other_code(tmp_path: Path) -> str:
    """Where Python finds another experiment of the same name first."""
    place = tmp_path / "other"
    place.mkdir()
    (place / "fault_toy.py").write_text((TESTS / "fault_toy.py").read_text() + "_OTHER = 1\n")
    return os.pathsep.join([str(place), *filter(None, [os.environ.get("PYTHONPATH")])])


def test_worker_of_other_code_is_refused_before_the_first_unit(tmp_path, shared, monkeypatch):
    experiment = toy(tmp_path, n_units=20)
    with monkeypatch.context() as patch:
        patch.setenv("PYTHONPATH", other_code(tmp_path))
        other = shared.add_worker()
    try:
        with dask_executor(shared.address) as executor:
            executor._client.wait_for_workers(2, timeout=60)
            with pytest.raises(RunError, match="has other code than this run"):
                percolaw.run(experiment, out=tmp_path / "runs", executor=executor)
    finally:
        stop(other)
        shared.workers.remove(other)
    assert not begun(experiment)


@pytest.mark.slow
def test_worker_of_other_code_that_joins_later_takes_nothing(tmp_path, monkeypatch):
    experiment = toy(tmp_path, n_units=400, seconds=0.05)
    with cluster(1) as made:
        joined = []

        def join(done: int, total: int) -> None:
            if done >= 5 and not joined:
                with monkeypatch.context() as patch:
                    patch.setenv("PYTHONPATH", other_code(tmp_path))
                    joined.append(made.add_worker())

        with dask_executor(made.address) as executor:
            result = percolaw.run(
                experiment, out=tmp_path / "runs", executor=executor, progress=join
            )
            until(lambda: joined[0].poll() is not None, 30)
            names = executor._client.scheduler_info()["workers"]
            assert len(names) == 1
    assert content(result.folder) == undisturbed(experiment, tmp_path)


@pytest.mark.slow
def test_executors_without_a_scheduler_are_left_alone():
    with scheduler_module.same_code(None, object, ""):
        pass
