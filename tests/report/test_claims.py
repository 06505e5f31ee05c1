"""Claims as rows of tables that are pasted elsewhere."""

from percolaw.experiments.claims import Claim
from percolaw.report.claims import LATEX_TABLE, claims_markdown, latex_row, markdown_row

CLAIM = Claim("n_s ~ s^(-5/2) & 10% | x", "a_b", 0.5, 0.49, (0.45, 0.53), 0.03, "agrees", "$\\x")


def test_a_row_of_markdown():
    assert markdown_row(CLAIM) == (
        "| n_s ~ s^(-5/2) & 10% \\| x ($\\x) | a_b | 0.5 +- 0.03 | 0.49 [0.45, 0.53] | agrees |"
    )
    table = claims_markdown([CLAIM, CLAIM]).splitlines()
    assert len(table) == 4
    assert {line.replace("\\|", "").count("|") for line in table} == {6}


def test_a_row_of_latex_has_no_character_that_means_something_there():
    row = latex_row(CLAIM)
    assert row == (
        r"n\_s \textasciitilde{} s\textasciicircum{}(-5/2) \& 10\% | x (\$\textbackslash{}x) & a\_b & "
        r"0.5 $\pm$ 0.03 & 0.49 [0.45, 0.53] & agrees \\"
    )
    assert LATEX_TABLE[0].count("&") == 4
