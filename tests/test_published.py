"""Numbers taken from elsewhere: docs/published.md against the code, and closed forms computed again."""

import ast
import importlib
import math
import re
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

import percolaw
from percolaw.experiments.brill2024.parameters_vs_dof import (
    CHINCHILLA,
    CHINCHILLA_MODELS,
    GPT3,
    GPT3_MODELS,
    ParametersVsDof,
    fit_logarithms,
    fit_widths,
)
from percolaw.laws import hypercubic

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "published.md").read_text()
BRILL = ("cluster_sizes", "single_cluster", "model_scaling", "data_scaling", "dof_scan")
BRILL += ("theory_curves", "parameters_vs_dof", "exponents_by_dimension")
MODULES = [
    *("laws.bethe", "laws.hypercubic", "laws.size_law", "targets.relu", "targets.nonlinearity"),
    *("datasets.sources", "experiments.labelled", "experiments.networks.nn_model_scaling"),
    *(f"experiments.brill2024.{name}" for name in BRILL),
]


def constants(file):
    """Constants of a script, without running it."""
    found = SimpleNamespace()
    for node in ast.parse(file.read_text()).body:
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            try:
                setattr(found, node.targets[0].id, ast.literal_eval(node.value))
            except ValueError:
                continue
    return found


def namespace():
    for name in MODULES:
        importlib.import_module(f"percolaw.{name}")
    exponents = {}
    for d in range(2, 7):
        e = hypercubic.critical_exponents(d)
        exponents[d] = (e.fisher_exponent, e.fractal_dimension, e.cutoff_exponent)
        exponents[d] += (e.correlation_exponent, e.shortest_path_dimension, e.resistance_exponent)
    scripts = {
        name: constants(ROOT / "benchmarks" / f"{name}.py")
        for name in ("bench_paper", "bench_embedding")
    }
    return {
        "percolaw": percolaw,
        "benchmarks": SimpleNamespace(**scripts),
        "EXPONENTS": exponents,
        "THRESHOLDS": {
            d: (hypercubic.hypercubic_threshold(d, "site"), hypercubic.hypercubic_threshold(d))
            for d in range(1, 9)
        },
    }


def rows(page):
    """Number and expression of every row of the page's tables, and how it was checked."""
    found = []
    for line in page.splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if len(cells) == 5 and cells[0].startswith("`"):
            found.append((cells[0].strip("`"), cells[1].strip("`"), cells[4]))
    return found


def wrong_rows(page):
    names = namespace()
    wrong = []
    for number, expression, _ in rows(page):
        stated = np.ravel(eval(number, {}))
        held = np.ravel(eval(expression, names))
        if stated.shape != held.shape or not np.allclose(stated, held, rtol=1e-12, atol=0.0):
            wrong.append((number, expression))
    return wrong


def test_page_holds_the_numbers_of_the_code():
    assert len(rows(PAGE)) > 40
    assert wrong_rows(PAGE) == []
    # Control: any digit changed is noticed.
    for old, new in (("0.16013122", "0.16013121"), ("`316`", "`317`"), ("`750.0, ", "`751.0, ")):
        assert PAGE.count(old) >= 1
        assert len(wrong_rows(PAGE.replace(old, new))) == 1


def test_page_is_complete_and_says_how_each_number_was_checked():
    expressions = " ".join(expression for _, expression, _ in rows(PAGE))
    for d in range(2, 9):
        assert f"THRESHOLDS[{d}]" in expressions
    for d in range(2, 6):
        places = re.findall(rf"EXPONENTS\[{d}\](\[[\d:]+\])", expressions)
        covered = [np.ravel(eval(f"np.arange(6){place}")) for place in places]
        assert sorted(np.concatenate(covered)) == list(range(6)), d
    for number, _, checked in rows(PAGE):
        assert re.search(r"\b(read|copy|rerun|measured|recalled)\b", checked), number
    assert "published.md" in (ROOT / "mkdocs.yml").read_text()


# ---- closed forms


def test_winding_probabilities_are_those_of_pinson():
    """Partition functions of the Coulomb gas on the square torus, loops of weight 1 and 0."""
    eta = math.gamma(0.25) / (2.0 * math.pi**0.75)
    k = np.arange(-30, 31)

    def gaussian(g, f):
        square = np.sum(np.exp(-math.pi * g * (f * k) ** 2)) ** 2
        return f * math.sqrt(g) * square / eta**2

    neither = 0.5 * (gaussian(8 / 3, 1.0) - gaussian(8 / 3, 0.5))
    m = np.arange(1, 30)
    weight = np.cos(2 * math.pi * m / 3) - np.cos(math.pi * m)
    one = 2 * math.sqrt(2 / 3) / eta**2 * np.sum(np.exp(-math.pi * 2 / 3 * m**2) * weight)
    either, both = hypercubic.WRAPPING_EITHER, hypercubic.WRAPPING_BOTH
    assert either == pytest.approx(1 - neither, abs=1e-14)
    assert both == pytest.approx(1 - neither - 2 * one, abs=1e-14)
    assert pytest.approx(1 - neither - one, abs=1e-14) == hypercubic.WRAPPING_ALONG_AXIS


def test_derived_exponents_follow_from_those_read():
    three, four, five = (hypercubic.critical_exponents(d) for d in (3, 4, 5))
    for e, inverse_nu in ((three, 1.1410), (four, 1.461), (five, 1.743)):
        assert e.fisher_exponent == pytest.approx(1 + e.dimension / e.fractal_dimension, abs=6e-5)
        assert e.correlation_exponent == pytest.approx(1 / inverse_nu, abs=6e-5)
        assert e.cutoff_exponent == pytest.approx(inverse_nu / e.fractal_dimension, abs=6e-5)
    assert abs(three.fractal_dimension - (3 - 0.47705)) < 0.00015
    assert four.spectral_dimension == pytest.approx(1.330, abs=5e-4)
    assert five.resistance_exponent == pytest.approx((1 + 1 / 42) * 1.743, abs=6e-4)


# ---- width against parameters


def test_the_papers_width_law_is_repeated_on_its_own_models():
    size, width = np.array(CHINCHILLA_MODELS, dtype=np.float64).T
    assert size.size == 50
    assert np.all(np.diff(size) > 0)
    own = fit_widths(1e6 * size, width)
    assert f"{own.prefactor:.2f}({100 * own.prefactor_error:.0f})" == "0.57(5)"
    assert f"{own.exponent:.3f}({1000 * own.exponent_error:.0f})" == "0.387(4)"
    logarithms = fit_logarithms(1e6 * size, width)
    assert logarithms.exponent == pytest.approx(0.3944, abs=5e-5)
    assert logarithms.exponent_error == pytest.approx(0.0040, abs=5e-5)
    # Least squares: neither law can be bettered in its own measure by small steps.
    for law, measure in (
        (own, lambda a, x: np.sum((width - a * (1e6 * size) ** x) ** 2)),
        (logarithms, lambda a, x: np.sum(np.log(width / (a * (1e6 * size) ** x)) ** 2)),
    ):
        least = measure(law.prefactor, law.exponent)
        for da, dx in ((1e-4, 0), (-1e-4, 0), (0, 1e-5), (0, -1e-5), (1e-4, -1e-5)):
            assert measure(law.prefactor + da, law.exponent + dx) > least


def test_gpt3_is_a_second_family_with_an_interval_of_six_degrees_of_freedom():
    size, width = np.array(GPT3_MODELS, dtype=np.float64).T
    law = fit_logarithms(1e6 * size, width)
    assert law.interval == pytest.approx((0.3632, 0.4296), abs=1e-4)
    assert (law.interval[1] - law.exponent) / law.exponent_error == pytest.approx(2.4469, abs=1e-4)
    assert fit_widths(1e6 * size, width).exponent == pytest.approx(0.362, abs=5e-4)


def test_claims_name_models_table_and_fit_and_can_turn():
    claims = ParametersVsDof().conclude([]).claims
    assert sum(CHINCHILLA in c.name for c in claims) == 3
    assert sum(GPT3 in c.name for c in claims) == 1
    assert "table A9" in CHINCHILLA
    assert all(c.name.endswith(("least squares on widths", "on log width")) for c in claims)
    printed = [c for c in claims if c.name.endswith("on widths")]
    assert [c.verdict for c in printed] == ["agrees"] * 2
    # The other family or the other fit would not repeat the paper's digits.
    for exponent in (0.3944, 0.362, 0.3964):
        other = ParametersVsDof(width_exponent=exponent).conclude([]).claims
        assert other[0].verdict == "disagrees"
    with pytest.raises(ValueError, match="rounding must hold two numbers"):
        ParametersVsDof(rounding=(0.1,))
    with pytest.raises(ValueError, match="tolerance must be"):
        ParametersVsDof(tolerance=-1.0)
