import pytest

from percolaw import checks


@pytest.fixture(autouse=True, scope="module")
def memory_is_read_once():
    """Thousands of small lattices need not ask the system each time how much memory it has."""
    free = checks.available_memory()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(checks, "available_memory", lambda: free)
        yield
