"""What nn-model-scaling is run on by default, and its presets: one budget, or a grid of growing ones."""

from __future__ import annotations

from typing import Any

from percolaw.datasets.sources import Cube, FiniteCluster, InfiniteCluster, LatticeCluster, Source
from percolaw.experiments.base import Preset
from percolaw.experiments.networks.sharma_kaplan import SHARMA_KAPLAN
from percolaw.neural.config import Training
from percolaw.targets.fourier import FourierTeacher
from percolaw.targets.linear import LinearTeacher
from percolaw.targets.matern import MaternTeacher
from percolaw.targets.relu import ReluTeacher
from percolaw.targets.teacher import TeacherFamily

TEACHERS: tuple[TeacherFamily, ...] = (
    LinearTeacher(),
    ReluTeacher(1, 1000),
    ReluTeacher(8, 16),
    FourierTeacher(),
    MaternTeacher(0.5),
    MaternTeacher(1.5),
)
SETTINGS: tuple[Source, ...] = (
    InfiniteCluster(8),
    InfiniteCluster(16),
    InfiniteCluster(32),
    FiniteCluster(8),
    FiniteCluster(16),
    FiniteCluster(32),
    Cube(2),
    Cube(4),
)
#: Budgets that double, from 1/64 to 2: the last five are extrapolated, all of them make the frontier.
BUDGETS = (1 / 64, 1 / 32, 1 / 16, 1 / 8, 1 / 4, 1 / 2, 1.0, 2.0)
RATES = (0.0025, 0.005, 0.01, 0.02, 0.04)
GROWING: dict[str, Any] = {
    "teachers": (ReluTeacher(1, 1000), MaternTeacher(0.5), MaternTeacher(1.5), MaternTeacher(2.5)),
    "widths": (4, 6, 8, 12, 16, 24),
    "budgets": BUDGETS,
    "growth": 0.75,
    "rates": RATES,
    "most_points": 500_000,
    "seeds_together": 5,
    "training": Training(learning_rate=0.01, steps=4200, patience=100_000),
}
#: Milliseconds that a recorded step of batches of 512 takes on an H200 by width, of 18 to 20 students up
#: to width 128 and of two beyond (a prototype's times: this engine has not run on one yet).
STEP_MS = {8: 0.20, 16: 0.20, 32: 0.21, 64: 0.23, 128: 0.31, 256: 0.20, 512: 0.25, 1024: 0.64}
EVERYWHERE: tuple[Source, ...] = (
    *(InfiniteCluster(8), Cube(4), InfiniteCluster(16), InfiniteCluster(32)),
    *(Cube(2), LatticeCluster(3), LatticeCluster(3, 1.3)),
)
ACCELERATED: dict[str, Any] = {
    **GROWING,
    "widths": (8, 16, 32, 64),
    "training": Training(learning_rate=0.01, steps=2000, batch_size=512, patience=100_000),
}

PRESETS: dict[str, Preset] = {
    "smoke": Preset(
        {
            "n_seeds": 3,
            "settings": (Cube(2),),
            "teachers": (MaternTeacher(1.5),),
            "widths": (4, 8, 16, 32),
            "fit_from": 10,
            "n_validation": 200,
            "n_test": 200,
            "training": Training(learning_rate=0.01, steps=50, evaluate_every=50, patience=1000),
            "budgets": (1 / 8, 1 / 4, 1 / 2, 1.0, 2.0),
            "growth": 0.5,
            "rates": (0.003, 0.01, 0.03),
            "most_points": 4000,
            "seeds_together": 3,
        },
        "20 s",
        "0.8 GiB",
    ),
    # Far from converged at every width alike: what budgets do, in a minute.
    "short": Preset(
        {
            **GROWING,
            "settings": (InfiniteCluster(8),),
            "widths": (4, 6, 8, 12, 16, 24, 32),
            "growth": 0.5,
            "rates": (),
            "most_points": 150_000,
            "training": Training(learning_rate=0.01, steps=300, patience=100_000),
        },
        "70 s",
        "2 GiB",
    ),
    # 20 students take 1.2 ms a step (1.8 at width 24): 4 x 4200 x 39 ms = 660 s of one core a setting,
    # and 100 s for points and rates.
    "laptop": Preset(
        {
            **GROWING,
            "settings": (InfiniteCluster(8), Cube(4)),
        },
        "12 min",
        "4 GiB",
    ),
    # Shares its units of depth 3 with the preset above.
    "depth": Preset(
        {
            **GROWING,
            "settings": (InfiniteCluster(8),),
            "other_depths": (2,),
        },
        "9 min",
        "4 GiB",
    ),
    "fixed-budget": Preset({}, "14 min", "1.5 GiB"),
    "sharma-kaplan": Preset(SHARMA_KAPLAN, "5 min", "1.5 GiB"),
    # STEP_MS at these widths: 53 s a setting, and 1 s for rates. Drawing points takes 80 s on 7 cores,
    # start-up 60 s.
    "gpu": Preset(
        {**ACCELERATED, "settings": EVERYWHERE},
        "9 min with --workers 7, estimated",
        "16 GiB",
    ),
    # Two settings of the preset above, whose units it shares.
    "gpu-session": Preset(
        {**ACCELERATED, "settings": EVERYWHERE[:2]},
        "3 min, estimated",
        "5 GiB",
    ),
    # Two students a step: 96 s a seed. 2,000,000 points are as many as the parameters of width 1024:
    # there they are not endless.
    "gpu-wide": Preset(
        {
            **GROWING,
            "widths": (64, 128, 256, 512, 1024),
            "settings": (InfiniteCluster(8),),
            "teachers": (ReluTeacher(1, 1000), MaternTeacher(1.5)),
            "most_points": 2_000_000,
            "seeds_together": 1,
            "training": Training(learning_rate=0.01, steps=500, batch_size=512, patience=100_000),
        },
        "10 min with --workers 5, estimated",
        "25 GiB",
    ),
}
