"""What is cited, and which words of a source become links."""

import pytest
from report_cases import HOSTILE

from percolaw.report import citations
from percolaw.report.citations import at_commit, bibtex, linked


@pytest.fixture
def address(monkeypatch):
    monkeypatch.setattr(citations, "repository", lambda: "https://example.org/percolaw")


def test_bibtex_of_what_sources_name_and_of_the_software():
    entries = bibtex(["Brill 2024, section 4", "8 models (Brown et al. 2020)", "docs/theory.md"])
    assert [line for line in entries.splitlines() if line.startswith("@")] == [
        "@article{brill2024,",
        "@article{brown2020,",
        "@software{percolaw,",
    ]


def test_papers_become_links():
    for source, href, words in (
        ("Brill 2024, section 4.2", "https://arxiv.org/abs/2412.07942", "Brill 2024"),
        ("Wang (arXiv:1302.0421), x", "https://arxiv.org/abs/1302.0421", "arXiv:1302.0421"),
        ("1996 (cond-mat/9508041)", "https://arxiv.org/abs/cond-mat/9508041", "cond-mat/9508041"),
        ("doi:10.1103/PhysRevE.87.052107.", "https://doi.org/10.1103/PhysRevE.87.052107", "doi:"),
    ):
        page = linked(source)
        assert f'<a href="{href}" rel="noopener noreferrer">{words}' in page
        assert page.count("<a ") == 1
    assert linked("2025 write-up, docs/theory.md") == "2025 write-up, docs/theory.md"


def test_docs_and_code_are_linked_where_the_address_of_the_code_is_known(address):
    commit = "0123456789" * 4
    where = "https://example.org/percolaw"
    assert at_commit(commit) == f"{where}/tree/{commit}"
    assert f'href="{where}/blob/{commit}/docs/theory.md"' in linked("docs/theory.md, 7", commit)
    for strange in (None, 3, "main", "../..", 'a" onclick="x'):
        assert at_commit(strange) is None
        assert linked("docs/theory.md", strange) == "docs/theory.md"


@pytest.mark.parametrize("hostile", HOSTILE)
def test_hostile_sources_stay_text(hostile, address):
    page = linked(f"{hostile} arXiv:1302.0421 {hostile}", "0" * 40)
    assert page.count("<") == 2, "the link's own tags"
    assert 'href="https://arxiv.org/abs/1302.0421"' in page


def test_the_address_of_the_code_is_what_the_package_says(monkeypatch):
    class Metadata:
        def get_all(self, name):
            assert name == "Project-URL"
            return ["Documentation, https://example.org/docs", "Repository, https://example.org/x/"]

    monkeypatch.setattr(citations.metadata, "metadata", lambda name: Metadata())
    citations.repository.cache_clear()
    assert citations.repository() == "https://example.org/x"
    citations.repository.cache_clear()
