"""Every public object is pickled and deep-copied: processes, joblib and notebooks need it."""

import copy
import dataclasses
import inspect
import pickle

import numpy as np
import pytest

import percolaw as pl

RNG = np.random.default_rng(0)
X = RNG.standard_normal((40, 2))
Y = X[:, 0]
TREE = pl.Tree.from_parent([-1, 0, 1, 1])
LINEAR = pl.LinearTeacher()


def numbers(given):
    """A reader that calls a function of an object."""
    return lambda made: np.asarray(given(made))


#: An object of every public class, and numbers that must be the same of its copy.
OBJECTS = {
    "BetheLattice": (pl.BetheLattice(3), numbers(lambda o: o.coordination_number)),
    "Streams": (pl.Streams(3), numbers(lambda o: o.generator("target").random(3))),
    "Tree": (TREE, numbers(lambda o: o.parent)),
    "Graph": (pl.Graph.from_tree(TREE), numbers(lambda o: o.n_sites)),
    "HypercubicLattice": (pl.HypercubicLattice(2, 4), numbers(lambda o: o.n_sites)),
    "Dataset": (pl.Dataset(X, Y), numbers(lambda o: o.X)),
    "LearningCurve": (
        pl.LearningCurve(np.arange(1, 3), np.ones((1, 2))),
        numbers(lambda o: o.loss),
    ),
    "TreeNearest": (
        pl.TreeNearest().fit(TREE, [0], [1.0]),
        numbers(lambda o: o.predict()),
    ),
    "TreePosterior": (
        pl.TreePosterior().fit(TREE, [0, 3], [1.0, 2.0]),
        numbers(lambda o: o.predict()),
    ),
}
for source in (
    *(pl.InfiniteCluster(3), pl.FiniteCluster(3), pl.Cube(2)),
    *(pl.Manifold(), pl.LatticeCluster(2)),
):
    OBJECTS[type(source).__name__] = (source, numbers(lambda o: o.dimension))
for field in (pl.TreeWalk(), pl.FreeField(), pl.HierarchicalFunction()):
    OBJECTS[type(field).__name__] = (field, numbers(lambda o: dataclasses.astuple(o)))
for kernel in (pl.Matern(1.5), pl.Gaussian(), pl.NeuralTangent(), pl.NetworkGaussianProcess()):
    OBJECTS[type(kernel).__name__] = (kernel, numbers(lambda o: o(X, X)))
for family in (
    *(LINEAR, pl.ReluTeacher(2, 5), pl.FourierTeacher(), pl.MaternTeacher(n_features=9)),
    *(pl.SumTeacher((LINEAR, LINEAR), groups=(1, 1)), pl.ProductTeacher((LINEAR, LINEAR))),
):
    OBJECTS[type(family).__name__] = (family.sample(2, 5), numbers(lambda o: o(X)))
for learner in (pl.NearestNeighbors(), pl.KernelRegression(), pl.RandomFeatures(9)):
    OBJECTS[type(learner).__name__] = (learner.fit(X, Y), numbers(lambda o: o.predict(X)))
for estimator in (pl.TwoNN(), pl.MLE(5), pl.CorrelationDimension(highest=4.0)):
    OBJECTS[type(estimator).__name__] = (estimator.fit(X), numbers(lambda o: o.dimension_))


def networks():
    """Objects that need PyTorch."""
    torch = pytest.importorskip("torch")
    training = pl.Training(steps=2)
    fitted = pl.NeuralRegression(pl.MLP(width=4), training).fit(X, Y)
    module = pl.ModuleLearner(torch.nn.Linear(2, 1), steps=2).fit(X, Y)
    for one in (pl.MLP(), pl.Transformer(), pl.SparseAutoencoder(), training):
        yield one, numbers(lambda o: str(dataclasses.astuple(o)))
    yield pl.Student(1, [1, 2], [3]), numbers(lambda o: o.train)
    yield fitted, numbers(lambda o: o.predict(X))
    yield module, numbers(lambda o: o.predict(X))


def unchanged(made, read):
    """Assert that copies say what the object says, and are not it."""
    for other in (pickle.loads(pickle.dumps(made)), copy.deepcopy(made)):
        assert type(other) is type(made)
        np.testing.assert_array_equal(read(other), read(made))


@pytest.mark.parametrize("name", OBJECTS)
def test_copies_are_the_same(name):
    unchanged(*OBJECTS[name])


def test_copies_of_files_and_networks(tmp_path):
    np.save(tmp_path / "x.npy", X)
    unchanged(pl.PointFile(str(tmp_path / "x.npy")), numbers(lambda o: o.digest))
    for made, read in networks():
        unchanged(made, read)


def test_no_public_class_is_left_out():
    classes = {n for n in pl.__all__ if inspect.isclass(getattr(pl, n))}
    later = {"MLP", "Transformer", "Training", "Student", "NeuralRegression", "ModuleLearner"}
    later |= {"SparseAutoencoder"}
    assert classes == set(OBJECTS) | later | {"PointFile"}
