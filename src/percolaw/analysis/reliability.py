"""How often verdicts are wrong: what `percolaw run analyze-confusion --preset laptop` measured.

By state: docs/results/analyze-confusion-laptop; the tests hold these numbers against it.
"""

from __future__ import annotations

#: Kind of data, how many data sets of 2000 elements, and the percent of them with each of
#: `percolaw.analysis.verdict.VERDICTS`, in that order.
BY_KIND = (
    ("critical lattice, d = 2, all sites", 30, 37, 40, 0, 0, 23),
    ("critical lattice, d = 3, all sites", 30, 0, 0, 83, 0, 17),
    ("critical lattice, d = 6, all sites", 30, 0, 0, 53, 0, 47),
    ("critical lattice, 10 or 3% of the sites", 180, 0, 0, 18, 0, 82),
    ("lattice at 0.9 or 1.1 p_c", 180, 6, 17, 52, 0, 25),
    ("lattice at 0.7 p_c", 270, 0, 1, 59, 0, 40),
    ("lattice at 1.3 or 2 p_c", 450, 0, 55, 4, 25, 16),
    ("mixtures, fields, hierarchies, trees", 210, 0, 77, 9, 0, 13),
    ("random labels", 30, 0, 0, 0, 100, 0),
)
#: The same in a sentence.
RELIABILITY = (
    "How far to trust it: of 960 data sets of known kind that are not critical 1 was called critical "
    "(at most 0.6% with 95% confidence), so 'critical' may be believed. Its absence may not: of critical "
    "lattices of 2000 sites 37% were seen in two dimensions, 0% in three and 0% in six."
)
