"""The setting of Sharma and Kaplan (2022), as fields that several experiments share."""

from __future__ import annotations

from typing import Any

from percolaw.datasets.sources import Cube
from percolaw.targets.matern import MaternTeacher
from percolaw.targets.relu import sharma_kaplan_teacher

#: Their teacher of two layers without biases on D of 20 coordinates, students of two layers; beside it
#: a smooth teacher, of which their 4/D should hold. Unlike in their program students see the other
#: coordinates as 0, so that the points themselves have dimension D.
SHARMA_KAPLAN: dict[str, Any] = {
    "settings": (Cube(2, 20), Cube(4, 20), Cube(6, 20)),
    "depth": 2,
    "teachers": (sharma_kaplan_teacher(), MaternTeacher(2.5)),
}
