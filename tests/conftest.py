import gc
import os
import signal

import pytest

# Set by readline, which pytest loads and os.environ does not see; tables would take them for the width of
# a terminal.
for name in ("COLUMNS", "LINES"):
    os.environ.pop(name, None)
    os.unsetenv(name)

# A suite started in the background (nohup make test &) ignores Ctrl-C, and children would inherit that.
if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
if hasattr(signal, "SIGHUP") and signal.getsignal(signal.SIGHUP) == signal.SIG_IGN:
    signal.signal(signal.SIGHUP, signal.SIG_DFL)

# What collecting makes stays to the end: not worth looking through for garbage, 1.5 s in each process.
gc.disable()

#: Files that take longest, in the order in which processes begin with them: one that mostly waits and one
#: that computes, and so on. Without it a process would be left with one of them at the end.
LONGEST = (
    *("runs/test_killed.py", "experiments/test_experiments.py", "runs/test_scheduler.py"),
    *("runs/test_search.py", "runs/test_foreign_folders.py", "runs/test_workers.py"),
    *("report/test_figures.py", "cli/test_cli.py", "report/test_browser.py"),
    *("cli/test_dimension.py", "experiments/test_wrong_measurements.py", "cli/test_control.py"),
    *("dimension/test_truth.py", "runs/test_code.py", "kernels/test_compile.py"),
    *("runs/test_run.py", "datasets/test_maker_claims.py", "report/test_malformed_records.py"),
    *("runs/test_damaged_runs.py", "report/test_html.py", "runs/test_disks.py"),
    *("experiments/test_smoke_verdicts.py", "runs/test_reliability_counts.py"),
)


def pytest_addoption(parser):
    parser.addoption("--slow", action="store_true", help="run the slow tests too")


def pytest_collection_finish(session):
    gc.freeze()
    gc.set_threshold(20_000, 20, 20)
    gc.enable()


def pytest_collection_modifyitems(config, items):
    place = {f"tests/{file}": at for at, file in enumerate(LONGEST)}
    items.sort(key=lambda item: place.get(item.nodeid.split("::")[0], len(place)))
    if config.getoption("--slow"):
        return
    skip = pytest.mark.skip(reason="slow; run with --slow")
    for item in items:
        if "slow" in item.keywords:
            item.add_marker(skip)
