"""How often verdicts are wrong: what `percolaw run analyze-confusion --preset laptop` measured.

By state: docs/results/analyze-confusion-laptop; the tests hold these numbers against it.
"""

from __future__ import annotations

#: Kind of data, how many data sets of 2000 elements, and the percent of them with each of
#: `percolaw.analysis.verdict.VERDICTS`, in that order.
BY_KIND = (
    ("critical lattice, d = 2, all sites", 100, 34, 31, 8, 0, 27),
    ("critical lattice, d = 3, all sites", 100, 0, 0, 84, 0, 16),
    ("critical lattice, d = 6, all sites", 100, 0, 0, 52, 0, 48),
    ("critical lattice, 10 or 3% of the sites", 600, 0, 0, 12, 0, 88),
    ("lattice at 0.9 or 1.1 p_c", 600, 3, 18, 51, 0, 28),
    ("lattice at 0.7 p_c", 900, 0, 1, 60, 0, 39),
    ("lattice at 1.3 or 2 p_c", 1500, 0, 55, 4, 25, 16),
    ("mixtures, fields, hierarchies, trees", 700, 1, 75, 8, 0, 16),
    ("random labels", 100, 0, 0, 1, 99, 0),
)
#: The same in a sentence.
RELIABILITY = (
    "How far to trust it: of 3200 data sets of known kind that are not critical 4 were called critical "
    "(at most 0.3% with 95% confidence), so 'critical' may be believed. Its absence may not: of critical "
    "lattices of 2000 sites 34% were seen in two dimensions, 0% in three and 0% in six."
)
