"""The first page: the README, with its links turned towards the site."""

import re
from pathlib import Path

from mkdocs.structure.files import File

ROOT = Path(__file__).parents[2]


def on_files(files, config):
    files.append(File.generated(config, "index.md", content=start()))
    return files


def start():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    text = text.replace("](docs/", "](")
    for name in ("CONTRIBUTING.md", "VISION.md", "CHANGELOG.md"):
        text = re.sub(rf"\[([^\]]*)\]\({name}\)", r"\1", text)  # not part of the site
    return re.sub(r"\]\((results/[^)]*claims\.md)\)", "](findings.md)", text)
