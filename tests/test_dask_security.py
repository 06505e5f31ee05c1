"""Who may reach a Dask scheduler, and which workers may measure."""

import asyncio
import os
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path

import pytest
from test_dask import cluster, free_port, shared, stop  # noqa: F401
from test_faults import begun, content, flags, register, toy, undisturbed, until

import percolaw
from percolaw.cli import main
from percolaw.errors import RunError

distributed = pytest.importorskip("distributed")

from percolaw.runs import scheduler as scheduler_module  # noqa: E402
from percolaw.runs.scheduler import dask_executor, temporary_security, tls_security  # noqa: E402


@pytest.fixture(autouse=True)
def _toy_is_known(monkeypatch):
    register(monkeypatch)


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


@pytest.mark.parametrize("package", [True, False])
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


def test_the_stranger_would_be_answered_without_credentials(shared):  # noqa: F811
    until(lambda: reached(shared.address))


def test_no_way_to_make_certificates_is_a_sentence(monkeypatch):
    monkeypatch.setitem(sys.modules, "cryptography", None)
    monkeypatch.setenv("PATH", "/nonexistent")
    with pytest.raises(RunError, match="install cryptography"):
        temporary_security()


def test_open_scheduler_gives_one_line(tmp_path, shared, capsys):  # noqa: F811
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
        "rsa:2048",
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


def test_scheduler_with_certificates_of_ones_own(tmp_path):
    files = certificates(tmp_path)
    tls = [
        *("--tls-ca-file", str(files["cert"]), "--tls-cert", str(files["cert"])),
        *("--tls-key", str(files["key"])),
    ]
    address = f"tls://127.0.0.1:{free_port()}"
    common = ["--host", "127.0.0.1", "--no-dashboard", *tls]
    port = address.rsplit(":", 1)[1]
    path = os.pathsep.join([str(Path(__file__).parent), os.environ.get("PYTHONPATH", "")])
    started = [
        subprocess.Popen(
            [sys.executable, "-m", "dask", *words],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env={**os.environ, "PYTHONPATH": path},
        )
        for words in (
            ["scheduler", "--protocol", "tls", "--port", port, *common],
            ["worker", address, "--nthreads", "1", "--no-nanny", *common],
        )
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
    """Where Python finds a percolaw that differs in a comment."""
    import shutil

    copy = tmp_path / "other" / "percolaw"
    shutil.copytree(Path(percolaw.__file__).parent, copy)
    with (copy / "rng.py").open("a") as file:
        file.write("# other\n")
    return str(copy.parent)


def test_worker_of_other_code_is_refused_before_the_first_unit(tmp_path, monkeypatch):
    experiment = toy(tmp_path, n_units=20)
    with cluster(1) as made:
        with monkeypatch.context() as patch:
            patch.setenv("PYTHONPATH", other_code(tmp_path))
            made.add_worker()
        with dask_executor(made.address, warn=print) as executor:
            executor._client.wait_for_workers(2, timeout=60)
            with pytest.raises(RunError, match="has other code than this run"):
                percolaw.run(experiment, out=tmp_path / "runs", executor=executor)
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

        with dask_executor(made.address, warn=print) as executor:
            result = percolaw.run(
                experiment, out=tmp_path / "runs", executor=executor, progress=join
            )
            until(lambda: joined[0].poll() is not None, 30)
            names = executor._client.scheduler_info()["workers"]
            assert len(names) == 1
    assert content(result.folder) == undisturbed(experiment, tmp_path)


def test_executors_without_a_scheduler_are_left_alone():
    with scheduler_module.same_code(None, object, ""):
        pass
