"""Without torch or an accelerator: what is left out, said loudly, and what still works."""

import dataclasses
import importlib.util
import itertools
import json
import subprocess
import sys
from types import SimpleNamespace

import pytest

pytest.importorskip("torch")

from network_cases import sources, targets

import percolaw
from percolaw import checks, cli
from percolaw.cli import experiments as commands
from percolaw.errors import MissingExtraError
from percolaw.experiments.base import (
    missing_extra,
    preset,
)
from percolaw.experiments.networks.nn_tuning import NnTuning
from percolaw.experiments.registry import EXPERIMENTS, experiment_class
from percolaw.experiments.reproductions import OVERRIDES, PRESETS, REPRODUCTIONS

#: What needs torch, in the order of the registry; the first five belong to the 2025 write-up.
NETWORKS = ("nn-tuning", "nn-data-scaling", "nn-model-scaling", "effective-dof", "layer-dimension")
LATENTS = ("latent-probes", "dictionary-scaling", "superposition", "features", "absorption")
QUANTA = ("quanta-model", "quanta-data", "quanta-time", "quanta-composite", "quanta-discovery")


@pytest.fixture
def no_torch(monkeypatch):
    real = importlib.util.find_spec

    def find(name, *arguments):
        return None if name == "torch" else real(name, *arguments)

    monkeypatch.setattr(importlib.util, "find_spec", find)


@pytest.fixture
def asked(monkeypatch, tmp_path):
    """Configs that `percolaw` would have run; it measures nothing."""
    found = []

    def run_one(experiment, options, executor, folder=None):
        found.append(experiment)
        (tmp_path / experiment.name).mkdir(exist_ok=True)
        name = experiment.name
        return SimpleNamespace(folder=tmp_path / name, experiment=name, claims=(), tables={})

    monkeypatch.setattr(commands, "run_one", run_one)
    return found


def reproduce(paper, tmp_path, *more):
    return cli.main(
        [
            "reproduce",
            paper,
            "--out",
            str(tmp_path / "runs"),
            "--workers",
            "1",
            "--no-figures",
            *more,
        ]
    )


def test_networks_are_left_out_loudly_without_torch(no_torch, asked, tmp_path, capsys):
    assert reproduce("spar2025", tmp_path, "--preset", "smoke") == 0
    members = REPRODUCTIONS["spar2025"][1]
    assert [e.name for e in asked] == [m for m in members if m not in NETWORKS]
    assert "kernel-scaling" in {e.name for e in asked}
    out, err = capsys.readouterr()
    for name in NETWORKS:
        text = (
            f"left out: {name} needs torch, which is not installed. Install it with: "
            "pip install -e '.[nn]'"
        )
        assert text in out
        assert text in err
    (folder,) = (tmp_path / "runs").glob("spar2025-smoke-*")
    summary = json.loads((folder / "summary.json").read_text())
    assert [text.split()[0] for text in summary["left_out"]] == list(NETWORKS)
    assert set(summary["runs"]) == set(members) - set(NETWORKS)


def test_nothing_is_left_out_with_torch(asked, tmp_path, capsys):
    assert reproduce("spar2025", tmp_path, "--preset", "smoke", "--n-seeds", "2") == 0
    assert [e.name for e in asked] == list(REPRODUCTIONS["spar2025"][1])
    assert {e.n_seeds for e in asked if e.name in NETWORKS} == {2}
    out, err = capsys.readouterr()
    assert "left out" not in out + err
    (folder,) = (tmp_path / "runs").glob("spar2025-smoke-*")
    assert json.loads((folder / "summary.json").read_text())["left_out"] == []


def test_a_source_of_networks_alone_needs_torch(no_torch, asked, tmp_path, capsys):
    assert reproduce("sharma-kaplan", tmp_path) == 1
    assert "pip install -e '.[nn]'" in capsys.readouterr().err
    assert asked == []
    assert not (tmp_path / "runs").exists()
    options = SimpleNamespace(paper="sharma-kaplan", preset="laptop", n_seeds=None)
    with pytest.raises(MissingExtraError, match=r"needs torch.*pip install -e '.\[nn\]'"):
        commands.run_reproduce(options)


@pytest.mark.parametrize("name", [*NETWORKS, *LATENTS, *QUANTA])
def test_a_run_without_torch_gives_the_remedy_before_work(name, no_torch, tmp_path, capsys):
    line = ["run", name, "--preset", "smoke", "--out", str(tmp_path / "runs"), "--no-figures"]
    assert cli.main([*line, "--workers", "1", "--quiet"]) == 1
    out, err = capsys.readouterr()
    assert (
        f"percolaw: {name} needs torch, which is not installed. Install it with: "
        "pip install -e '.[nn]'" in err
    )
    assert out == ""
    assert not (tmp_path / "runs").exists()
    with pytest.raises(MissingExtraError, match="needs torch"):
        percolaw.run(preset(experiment_class(name), "smoke"), out=tmp_path / "runs")


def test_a_run_without_matplotlib_names_the_way_without_pictures(monkeypatch, tmp_path, capsys):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    out = tmp_path / "runs"
    assert cli.main(["run", "theory-curves", "--preset", "smoke", "--out", str(out)]) == 1
    remedy = "(in a clone of percolaw). Or measure without pictures: --no-figures.\n"
    assert capsys.readouterr().err.endswith(remedy)
    assert not out.exists()


def test_only_networks_need_an_extra(no_torch):
    needy = [name for name in EXPERIMENTS if "torch" in missing_extra(experiment_class(name))]
    assert sorted(needy) == sorted((*NETWORKS, *LATENTS, *QUANTA, "architectures", "in-context"))


def test_configs_and_conclusions_do_not_need_torch():
    """In a process where torch cannot be imported: as it is without the extra."""
    code = """if True:
        import sys
        sys.modules["torch"] = None
        from percolaw.experiments.registry import EXPERIMENTS, experiment_class
        from percolaw.experiments.base import missing_extra, preset
        for name, cls in {n: experiment_class(n) for n in EXPERIMENTS}.items():
            if not EXPERIMENTS[name].startswith("real."):  # SciPy asks for what is None here
                preset(cls, "smoke").cells()
        e = preset(experiment_class("nn-tuning"), "smoke")
        import dataclasses
        print(len(dataclasses.replace(e, widths=(), sizes=()).conclude([]).claims))
        print(missing_extra(type(e)))
        print(sorted(m for m in sys.modules if m.startswith("torch")))
    """
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[0] == "0"
    assert "pip install -e '.[nn]'" in lines[1]
    assert lines[2] == "['torch']"


@pytest.mark.parametrize("device", ["cpu", "cuda"])
def test_large_networks_are_left_out_without_an_accelerator(
    asked, tmp_path, capsys, device, monkeypatch
):
    from percolaw.neural import device as devices

    monkeypatch.setattr(devices, "resolve_device", lambda name: device)
    monkeypatch.setattr(checks, "available_memory", lambda: 1 << 50)
    assert reproduce("spar2025", tmp_path, "--preset", "paper") == 0
    members = REPRODUCTIONS["spar2025"][1]
    left = [n for n in NETWORKS if "paper" not in experiment_class(n).presets]
    assert left == list(NETWORKS)
    out, err = capsys.readouterr()
    for name in left:
        text = (
            f"left out: {name} has the preset gpu in place of paper, and there is no accelerator "
            f"here. percolaw run {name} --preset gpu runs it anyway."
        )
        assert (text in out) == (text in err) == (device == "cpu")
    expected = [m for m in members if m not in left] if device == "cpu" else list(members)
    assert [e.name for e in asked] == expected
    for name in NETWORKS:
        assert commands.reason_to_leave_out(name, "laptop") == ""
        assert commands.reason_to_leave_out(name, "gpu") == ""
    assert commands.reason_to_leave_out("kernel-scaling", "gpu") == ""


@pytest.mark.parametrize(
    "paper",
    [
        "spar2025",
        "sharma-kaplan",
    ],
)
def test_a_misspelt_preset_is_told(paper, asked, tmp_path, capsys, monkeypatch):
    from percolaw.neural import device as devices

    monkeypatch.setattr(devices, "resolve_device", lambda name: "cpu")
    assert reproduce(paper, tmp_path, "--preset", "smoek") != 0
    assert "unknown preset 'smoek'" in capsys.readouterr().err
    assert asked == []


def test_configs_of_members(monkeypatch):
    monkeypatch.setattr(checks, "available_memory", lambda: 1 << 50)
    large = commands.member_config("spar2025", "nn-tuning", "paper")
    assert (
        large == preset(NnTuning, "gpu") == commands.member_config("spar2025", "nn-tuning", "gpu")
    )
    kernels = experiment_class("kernel-scaling")
    assert commands.member_config("spar2025", "kernel-scaling", "gpu") == preset(kernels, "paper")
    assert commands.member_config("spar2025", "nn-tuning", "smoke") == preset(NnTuning, "smoke")
    for paper, (_, members) in REPRODUCTIONS.items():
        for name, label in itertools.product(members, ("smoke", "laptop", "paper", "gpu")):
            assert commands.member_config(paper, name, label).name == name
    with pytest.raises(ValueError, match="unknown preset 'smoek'"):
        commands.member_config("spar2025", "nn-tuning", "smoek")


@pytest.mark.parametrize("label", ["smoke", "laptop"])
def test_a_source_sets_fields_of_its_own(label):
    asked = OVERRIDES["sharma-kaplan"]
    assert set(asked) == set(REPRODUCTIONS["sharma-kaplan"][1])
    for name, fields in asked.items():
        found = commands.member_config("sharma-kaplan", name, label)
        other = PRESETS["sharma-kaplan"].get(name, {}).get(label, label)
        plain = preset(experiment_class(name), other)
        assert {k: getattr(found, k) for k in fields} == fields
        assert dataclasses.replace(found, **{k: getattr(plain, k) for k in fields}) == plain
        assert found.depth == 2
        assert found.settings == sources(*(f"masked cube {d}" for d in (2, 4, 6)))
        assert commands.member_config("spar2025", name, label) == plain
    data = commands.member_config("sharma-kaplan", "nn-data-scaling", label)
    for setting in data.settings:
        assert data._teachers(setting) == targets("ReLU 2 x 600, no biases", "Matérn 2.5")
