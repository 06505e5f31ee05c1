"""Executed pages as notebooks: the same text and blocks, beside the page."""

import json
import re

from mkdocs.structure.files import File

#: An executed block of Python, as markdown-exec reads it.
BLOCK = re.compile(r'^```python exec="true"[^\n]*\n(.*?)^```$\n?', re.M | re.S)


def on_files(files, config):
    for page in list(files.documentation_pages()):
        if BLOCK.search(page.content_string):
            uri = page.src_uri.removesuffix(".md") + ".ipynb"
            files.append(File.generated(config, uri, content=notebook(page.content_string)))
    return files


def on_page_markdown(markdown, page, **_):
    """Point to the notebook below the title."""
    if not BLOCK.search(markdown):
        return markdown
    name = page.file.src_uri.rpartition("/")[2].removesuffix(".md") + ".ipynb"
    title, rest = markdown.split("\n", 1)
    return f"{title}\n\n[Download as a notebook]({name}){{ download }}\n{rest}"


def notebook(text):
    """The cells of a page, without results.

    Cells have numbers for ids, so that a page that did not change is the same file.
    """
    parts = BLOCK.split(text)  # text and blocks by turns
    cells = [cell(i, part.strip("\n"), code=i % 2 == 1) for i, part in enumerate(parts)]
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    book = {"cells": [c for c in cells if c["source"]], "metadata": {"kernelspec": kernel}}
    return json.dumps({**book, "nbformat": 4, "nbformat_minor": 5}, indent=1, ensure_ascii=False)


def cell(number, source, *, code):
    made = {"id": f"cell-{number}", "metadata": {}, "source": source}
    if code:
        return {"cell_type": "code", "execution_count": None, "outputs": [], **made}
    return {"cell_type": "markdown", **made}
