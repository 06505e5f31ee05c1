import pytest

from percolaw.datasets.make import make_distribution


@pytest.fixture(scope="module")
def data():
    return make_distribution(150, 5, 3, ensemble="yule")
