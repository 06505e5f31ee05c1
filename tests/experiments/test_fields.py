"""Fields of configs: ranges checked and shown, marks that hide from `measure`, words read and written."""

import dataclasses
import json
from dataclasses import dataclass
from typing import Annotated, ClassVar

import pytest

from percolaw import checks
from percolaw.cli.measuring import configure
from percolaw.datasets.sources import Cube, InfiniteCluster, Source
from percolaw.errors import PercolawError, ResourceError
from percolaw.experiments import fields
from percolaw.experiments.base import (
    Preset,
    check_cells,
    config_dict,
    from_config,
    measured_config,
    run_id,
)
from percolaw.experiments.fields import JUDGED, REPEATS, Bytes, Range, Rising, Seeds, Tolerance
from percolaw.targets.linear import LinearTeacher
from percolaw.targets.matern import MaternTeacher
from percolaw.targets.teacher import TeacherFamily


@dataclass(frozen=True)
class Toy:
    name: ClassVar[str] = "toy"
    title: ClassVar[str] = "Toy"
    source: ClassVar[str] = "tests"
    presets: ClassVar[dict[str, Preset]] = {"laptop": Preset({}, "0 s", "0 GiB")}

    n_seeds: Seeds = 3
    """Repetitions."""
    settings: tuple[Source, ...] = (InfiniteCluster(16), Cube(4))
    """Points."""
    target: TeacherFamily = MaternTeacher(0.5)
    """What is learned."""
    smoothness: Annotated[tuple[float, ...], Range(0.01, 100.0)] = (0.5, 1.5)
    """nu of the students."""
    width: Annotated[int, Range(1)] = 8
    """Units."""
    layers: Annotated[tuple[int, ...], Range(1), REPEATS] = (8, 8)
    """Units of each layer."""
    tolerance: Tolerance = 0.1
    """Deviation that counts as agreement."""

    def __post_init__(self) -> None:
        fields.check(self)

    def measure(self, cell):
        return [{"n": self.width * getattr(self, cell.get("reads", "width"))}]


@pytest.mark.parametrize(
    ("wrong", "reason"),
    [
        ({"n_seeds": 0}, "n_seeds"),
        ({"n_seeds": 2.5}, "n_seeds"),
        ({"smoothness": (0.5, 0.0)}, "smoothness"),
        ({"smoothness": (float("nan"),)}, "smoothness"),
        ({"smoothness": (0.5, 1.5, 0.5)}, "smoothness has 0.5 twice; give it once"),
        ({"settings": (Cube(4), Cube(4))}, "settings has cube 4 twice; give it once"),
        ({"width": -1}, "width"),
        ({"tolerance": -0.1}, "tolerance"),
        ({"tolerance": "small"}, "tolerance"),
    ],
)
def test_numbers_out_of_range_are_refused(wrong, reason):
    with pytest.raises((TypeError, ValueError), match=reason):
        dataclasses.replace(Toy(), **wrong)


def test_words_are_written_and_read():
    toy = Toy(settings=(Cube(2),), target=LinearTeacher())
    text = json.dumps(config_dict(toy)["config"])
    assert '"settings": ["cube 2"]' in text
    assert '"target": "linear"' in text
    assert from_config(Toy, json.loads(text)) == toy
    with pytest.raises(ValueError, match="unknown points 'cub 2'"):
        from_config(Toy, {"settings": ["cub 2"]})


@dataclass(frozen=True)
class Line(Source):
    """A source of somebody's own."""

    length: float = 1.0

    @property
    def word(self):
        return f"line {self.length:g}"

    @property
    def dimension(self):
        return 1.0

    def sample(self, n_samples, rng=0):
        raise NotImplementedError


@dataclass(frozen=True)
class Own(Toy):
    presets: ClassVar[dict[str, Preset]] = {"long": Preset({"settings": (Line(9.0),)}, "", "")}
    settings: tuple[Source, ...] = (Line(), Cube(4))

    def cells(self):
        return [{"points": source.word} for source in self.settings]


def test_objects_of_ones_own_are_read_back_from_defaults_and_presets():
    for settings in ((Line(), Cube(4)), (Line(9.0),), (Cube(2), Line())):
        own = Own(settings=settings)
        again = from_config(Own, json.loads(json.dumps(config_dict(own)))["config"])
        assert again == own
        check_cells(own, own.cells())
    other = Own(settings=(Line(2.0),))
    with pytest.raises(
        ValueError, match=r"cannot be read back.*unknown points 'line 2'.*a default or in"
    ):
        check_cells(other, other.cells())


@dataclass(frozen=True)
class Hidden(Line):
    """A source whose word leaves out what tells it from others."""

    scale: float = 1.0


@pytest.mark.parametrize(
    "change",
    [
        {"settings": (Hidden(1.0, 2.0),)},
        {"settings": (Hidden(),)},
        {"target": MaternTeacher(0.5, n_outputs=3)},
    ],
)
def test_what_is_measured_is_what_is_given(change):
    """Units are measured from words, so an object that its word does not hold would be another."""
    own = Own(**change)
    with pytest.raises(ValueError, match=r"is written down as .* which names"):
        check_cells(own, own.cells())


@dataclass(frozen=True)
class Part:
    where: Source = Line(3.0)


@dataclass(frozen=True)
class Whole(Own):
    part: Part = dataclasses.field(default_factory=lambda: Part(Line(4.0)))


def test_objects_of_ones_own_inside_a_part_of_the_config_are_read_back():
    check_cells(Whole(), Whole().cells())
    check_cells(Whole(part=Part()), Whole().cells())


def test_two_units_that_are_the_same_are_refused():
    check_cells(Own(), [{"seed": 1}, {"seed": 2}])
    with pytest.raises(
        ValueError, match=r'toy would measure \{"seed":1\} twice and count it twice'
    ):
        check_cells(Own(), [{"seed": 1}, {"seed": 2}, {"seed": 1}])


def test_flags_take_words():
    toy = configure(Toy, "laptop", ["--settings", "cube 2", "cluster d = 8", "--target", "linear"])
    assert toy == Toy(settings=(Cube(2), InfiniteCluster(8)), target=LinearTeacher())


def test_flags_say_what_is_wrong(capsys):
    for flags, reason in (
        (["--settings", "cub 2"], "unknown points"),
        (["--width", "x"], "--width"),
    ):
        with pytest.raises((SystemExit, PercolawError)) as error:
            configure(Toy, "laptop", flags)
        text = " ".join((capsys.readouterr().err + str(error.value)).split())
        assert reason in text, text


def test_help_shows_ranges_and_defaults(capsys):
    with pytest.raises(SystemExit):
        configure(Toy, "laptop", ["--help"])
    text = " ".join(capsys.readouterr().out.replace("│", " ").split())
    assert "Repetitions. (1 to 100000) (default: 3)" in text
    assert "Units. (at least 1) (default: 8)" in text
    assert "(0.01 to 100) (default: 0.5 1.5)" in text
    assert "cluster d = 16" in text


def test_what_is_judged_is_not_there_for_measure():
    seen = fields.as_measured(Toy())
    assert seen.measure({}) == [{"n": 64}]
    assert seen.name == "toy"
    for name in ("n_seeds", "tolerance"):
        with pytest.raises(AttributeError, match=f"reads {name}, which is marked JUDGED"):
            seen.measure({"reads": name})
    assert Toy().measure({"reads": "n_seeds"}) == [{"n": 24}]


def test_runs_that_differ_in_what_is_judged_share_units():
    def measured(toy):
        return measured_config(config_dict(toy), Toy)

    assert measured(Toy(n_seeds=9, tolerance=0.5)) == measured(Toy())
    assert run_id(Toy(n_seeds=9)) != run_id(Toy())
    assert measured(Toy(width=9)) != measured(Toy())


@dataclass(frozen=True)
class Marked:
    plain: Annotated[int, JUDGED] = 1
    free: int = 2


def test_marks_are_read_from_annotations_alone():
    assert fields.judged(Marked) == {"plain"}
    assert fields.range_of(fields.hints(Marked)["plain"]) is None
    assert str(Range(None, 2)) == "at most 2"
    assert str(Range()) == "any number"


@dataclass(frozen=True)
class Sized:
    n_sites: Annotated[int, Range(1), Bytes(1024.0)] = 1
    sizes: Annotated[tuple[int, ...], Bytes(8.0, power=2.0)] = (1, 2)


@dataclass(frozen=True)
class Around:
    part: Sized = Sized()


@pytest.mark.parametrize(
    ("part", "message"),
    [
        (Sized(n_sites=10_000), r"--part.n-sites 10000 needs 9\.77 MiB .* and 1 MiB are available"),
        (Sized(sizes=(3, 1000)), r"--part.sizes 1000 needs 7\.63 MiB"),
    ],
)
def test_numbers_that_cannot_fit_are_named_with_their_bytes(monkeypatch, part, message):
    monkeypatch.setattr(checks, "available_memory", lambda: 1 << 20)
    with pytest.raises(ResourceError, match=message):
        fields.check_memory(Around(part))
    fields.check_memory(Around(Sized(100, (300,))))
    fields.check_memory(Around(Sized(sizes=())))


@pytest.mark.parametrize(("least", "words"), [(0, ""), (1, ", one at least"), (7, ", 7 at least")])
def test_tuples_marked_so_must_rise(least, words):
    @dataclass(frozen=True)
    class Sizes:
        sizes: Annotated[tuple[int, ...], Rising(least)]

    for wrong in ((4, 3, 2, 1), (1, 1), *([()] if least else [])):
        with pytest.raises(ValueError, match=rf"^sizes must rise{words}; got \("):
            fields.check(Sizes(wrong))
    fields.check(Sizes(tuple(range(max(least, 2)))))
