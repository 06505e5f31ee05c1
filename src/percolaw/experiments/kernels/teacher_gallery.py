"""What teachers and learners look like: plane slices by depth, width, frequency and smoothness."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

import numpy as np

from percolaw.experiments.base import Cell, Checked, Conclusion, Preset, Row
from percolaw.experiments.fields import Bytes, Range
from percolaw.rng import Streams


@dataclass(frozen=True)
class TeacherGallery(Checked):
    """Pictures of random functions on R^d, each with its range and nonlinearity score."""

    name: ClassVar[str] = "teacher-gallery"
    title: ClassVar[str] = "Pictures of teachers: narrow networks grainy, wide ones smooth"
    source: ClassVar[str] = "2025 write-up, its pictures of functions"
    presets: ClassVar[dict[str, Preset]] = {
        "smoke": Preset(
            {"n_pixels": 24, "depths": (1, 4), "widths": (10, 100), "n_repeats": 2, "n_train": 500},
            "4 s",
            "0.5 GiB",
        ),
        "laptop": Preset({}, "12 s", "0.6 GiB"),
        "paper": Preset({"n_pixels": 96}, "30 s, estimated", "0.6 GiB"),
    }

    seed: Annotated[int, Range(0)] = 0
    """Seed of all functions and planes."""
    dim: Annotated[int, Range(2)] = 16
    """Dimension of the inputs."""
    depths: Annotated[tuple[int, ...], Range(1)] = (1, 2, 4, 8)
    """Hidden layers of the ReLU networks."""
    widths: Annotated[tuple[int, ...], Range(1), Bytes(8.0, power=2.0)] = (10, 30, 100, 300)
    """Units of each hidden layer."""
    n_pixels: Annotated[int, Range(4, 512)] = 48
    """Pixels of each side."""
    half_width: Annotated[float, Range(1e-6)] = 4.0
    """Half side of the squares through the origin; standardised inputs have norm sqrt(dim)."""
    n_repeats: Annotated[int, Range(2)] = 20
    """Slices along each axis that score a function."""
    n_train: Annotated[int, Range(10)] = 2000
    """Points on the infinite cluster from which the learners learn."""

    def families(self) -> dict[str, Any]:
        """Return the functions drawn through the origin."""
        from percolaw.targets.fourier import FourierTeacher
        from percolaw.targets.linear import LinearTeacher
        from percolaw.targets.matern import MaternTeacher
        from percolaw.targets.relu import ReluTeacher, sharma_kaplan_teacher

        by_name: dict[str, Any] = {
            f"ReLU {depth} x {width}": ReluTeacher(depth, width)
            for depth in self.depths
            for width in self.widths
        }
        by_name["linear"] = LinearTeacher()
        by_name["Sharma-Kaplan"] = sharma_kaplan_teacher()
        by_name |= {f"Fourier, |k| <= {k:g}": FourierTeacher(low=0.0, high=k) for k in (1.0, 4.0)}
        by_name |= {f"Matérn {nu:g}": MaternTeacher(nu) for nu in (0.5, 1.5, 2.5)}
        return by_name

    def cells(self) -> list[Cell]:
        """A unit is a picture, and one more the learners."""
        return [{"picture": name} for name in (*self.families(), "learners")]

    def measure(self, cell: Cell) -> list[Row]:
        """Evaluate a function on its slice; values rounded to 4 digits of their range."""
        from percolaw.targets.nonlinearity import nonlinearity
        from percolaw.targets.slices import origin_slice

        if cell["picture"] == "learners":
            return self._learners()
        streams = Streams(self.seed)
        teacher = self.families()[cell["picture"]].sample(self.dim, streams)
        plane = origin_slice(self.dim, self.half_width, self.n_pixels, streams)
        score = nonlinearity(
            teacher,
            self.dim,
            streams,
            n_repeats=self.n_repeats,
            low=-self.half_width,
            high=self.half_width,
        )
        return [
            {
                **cell,
                "where": "origin",
                **_picture(plane.image(teacher)),
                "score": score.score,
                "half_width": self.half_width,
                "marks": [],
            }
        ]

    def _learners(self) -> list[Row]:
        """A Matérn teacher and two learners of it, on the plane through three data points."""
        from percolaw.datasets.make import make_cluster
        from percolaw.learners.kernel import KernelRegression
        from percolaw.learners.neighbors import NearestNeighbors
        from percolaw.numerics.covariance import Matern, NeuralTangent
        from percolaw.targets.matern import MaternTeacher
        from percolaw.targets.slices import data_slice
        from percolaw.targets.teacher import standardized_inputs

        streams = Streams(self.seed)
        x = standardized_inputs(make_cluster(self.n_train, self.dim, streams, labels="none").X)
        teacher = MaternTeacher(1.5).sample(self.dim, streams)
        y = teacher(x)
        plane = data_slice(x[:3], self.n_pixels)
        pictures: dict[str, Any] = {
            "Matérn 1.5 teacher": teacher,
            "1-NN": NearestNeighbors(1).fit(x, y).predict,
            "Matérn kernel": KernelRegression(Matern(1.5)).fit(x, y).predict,
            "infinitely wide network (NTK)": KernelRegression(NeuralTangent(2)).fit(x, y).predict,
        }
        return [
            {
                "picture": name,
                "where": "data",
                **_picture(plane.image(function)),
                "score": None,
                "half_width": float(plane.axis[-1]),
                "marks": plane.marks.tolist(),
            }
            for name, function in pictures.items()
        ]

    def conclude(self, rows: list[Row]) -> Conclusion:
        """Hand the pictures on; they make no claim."""
        return Conclusion(
            (),
            {
                "pictures": rows,
                "depths": list(self.depths),
                "widths": list(self.widths),
                "n_train": self.n_train,
                "dim": self.dim,
            },
        )


def _picture(image: Any) -> dict[str, Any]:
    """Range of an image, and its values in steps of 1/9999 of the range."""
    low, high = float(image.min()), float(image.max())
    steps = np.rint(9999 * (image - low) / max(high - low, 1e-300)).astype(int)
    return {"low": low, "high": high, "steps": steps.tolist()}
