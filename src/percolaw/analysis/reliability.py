"""How often verdicts are wrong: what `percolaw run analyze-confusion --preset laptop` measured.

By state: docs/results/analyze-confusion-laptop; the tests hold these numbers against it.
"""

from __future__ import annotations

#: Kind of data, how many data sets of 2000 elements, and the percent of them with each of
#: `percolaw.analysis.verdict.VERDICTS`, in that order.
BY_KIND = (
    ("critical lattice, d = 2, all sites", 20, 35, 45, 0, 0, 20),
    ("critical lattice, d = 3, all sites", 20, 0, 0, 85, 0, 15),
    ("critical lattice, d = 6, all sites", 20, 0, 0, 60, 0, 40),
    ("critical lattice, 10 or 3% of the sites", 120, 0, 0, 18, 0, 82),
    ("lattice at 0.9 or 1.1 p_c", 120, 4, 18, 53, 0, 25),
    ("lattice at 0.7 p_c", 180, 0, 1, 61, 0, 38),
    ("lattice at 1.3 or 2 p_c", 300, 0, 54, 5, 26, 15),
    ("mixtures, fields, hierarchies, trees", 140, 0, 78, 10, 0, 12),
    ("random labels", 20, 0, 0, 0, 100, 0),
)
#: The same in a sentence.
RELIABILITY = (
    "How far to trust it: of 640 data sets of known kind that are not critical 0 were called critical "
    "(at most 0.6% with 95% confidence), so 'critical' may be believed. Its absence may not: of critical "
    "lattices of 2000 sites 35% were seen in two dimensions, 0% in three and 0% in six."
)
