"""All sequences of a length and their structures, folded once; a small module stands for ViennaRNA."""

import shutil
import sys

import numpy as np
import pytest

from percolaw.datasets.real import rna
from percolaw.errors import MissingExtraError, PercolawError, ResourceError

#: Pairs the ends of a sequence that begins with G and ends with C.
FOLD = """
__version__ = "0"
def fold(sequence):
    if sequence == FAILS:
        raise SystemExit("no memory")
    paired = sequence[0] + sequence[-1] == "GC"
    return ["(" + "." * (len(sequence) - 2) + ")" if paired else "." * len(sequence), 0.0]
FAILS = None
"""


@pytest.fixture
def vienna(package, monkeypatch):
    monkeypatch.setattr(rna, "BLOCK_LETTERS", 2)
    return package("RNA", FOLD)


def texts(data):
    return [data.text(row) for row in range(len(data))]


def test_all_sequences_with_their_structure(vienna, tmp_path, monkeypatch):
    monkeypatch.setattr(rna, "_fold_in_process", rna.fold_block)
    data = rna.rna_structures(4, folder=tmp_path, quiet=True)
    words = texts(data)
    assert words == sorted({*words})
    assert len(words) == 256
    for word, label in zip(words, data.labels, strict=True):
        assert data.label_names[label] == ("(..)" if word[0] + word[-1] == "GC" else "....")
    assert len([*tmp_path.glob("rna-4-ViennaRNA-0/*.npz")]) == 16
    assert data.files[0].package == "ViennaRNA 0"


def test_folded_blocks_are_read_and_damaged_ones_folded_anew(vienna, tmp_path, monkeypatch):
    whole = rna.rna_structures(3, folder=tmp_path, quiet=True)
    folded = []
    monkeypatch.setattr(
        rna, "_fold_in_process", lambda *a: (folded.append(a[2]), rna.fold_block(*a))
    )
    place = tmp_path / "rna-3-ViennaRNA-0"
    assert rna.rna_structures(3, folder=tmp_path, quiet=True).files == whole.files
    assert folded == []
    (place / "0001.npz").unlink()
    (place / "0002.npz").write_bytes(b"PK\3\4 broken")
    shutil.copy(place / "0000.npz", place / "0003.npz")  # whole, and of other sequences
    again = rna.rna_structures(3, folder=tmp_path, quiet=True)
    assert folded == [1, 2, 3]
    assert np.array_equal(again.labels, whole.labels)
    assert again.files == whole.files


@pytest.mark.parametrize(
    "change", [{"index": np.zeros(3, int)}, {"index": np.full(16, 9)}, {"structures": ["..."]}]
)
def test_blocks_whose_parts_do_not_fit_are_folded_anew(vienna, tmp_path, monkeypatch, change):
    monkeypatch.setattr(rna, "_fold_in_process", rna.fold_block)
    whole = rna.rna_structures(3, folder=tmp_path, quiet=True)
    path = tmp_path / "rna-3-ViennaRNA-0" / "0002.npz"
    with np.load(path) as archive:
        parts = {**archive}
    np.savez(path, **{**parts, **change})
    assert rna.rna_structures(3, folder=tmp_path, quiet=True).files == whole.files


def test_what_is_kept_does_not_depend_on_settings_of_this_process(vienna, tmp_path, monkeypatch):
    import RNA

    monkeypatch.setattr(RNA, "fold", lambda sequence: ["x" * len(sequence), 0.0])
    assert rna.rna_structures(2, folder=tmp_path, quiet=True).label_names == ("()", "..")


def test_no_damage_passes_for_a_structure(vienna, tmp_path, monkeypatch):
    monkeypatch.setattr(rna, "_fold_in_process", rna.fold_block)
    whole = rna.rna_structures(2, folder=tmp_path, quiet=True)
    (path,) = tmp_path.glob("rna-2-ViennaRNA-0/*.npz")
    content = path.read_bytes()
    for at in range(0, len(content), 41):
        path.write_bytes(content[:at] + bytes([content[at] ^ 255]) + content[at + 1 :])
        again = rna.rna_structures(2, folder=tmp_path, quiet=True)
        assert again.label_names == whole.label_names
        assert np.array_equal(again.labels, whole.labels)


def test_processes_fold_the_same_and_keep_what_they_folded(vienna, tmp_path):
    path = vienna / "__init__.py"
    path.write_text(FOLD.replace("FAILS = None", "FAILS = 'UUU'"), "utf-8")
    with pytest.raises(PercolawError, match=r"(?s)folding block 3 failed.*no memory.*call again"):
        rna.rna_structures(3, 2, tmp_path / "two", quiet=True)
    assert len([*tmp_path.glob("two/*/*.npz")]) == 3
    path.write_text(FOLD, "utf-8")
    sys.modules.pop("RNA")
    two = rna.rna_structures(3, 2, tmp_path / "two", quiet=True)
    one = rna.rna_structures(3, 1, tmp_path / "one", quiet=True)
    assert np.array_equal(one.labels, two.labels)
    assert one.files == two.files


def test_cache_folder(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert rna.cache_folder() == tmp_path / "percolaw"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert rna.cache_folder() == tmp_path / ".cache" / "percolaw"


def test_a_folder_that_cannot_be_made(vienna, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(PercolawError, match=r"cannot be made .*name another with XDG_CACHE_HOME"):
        rna.rna_structures(2, folder=tmp_path / "file", quiet=True)


def test_reason_and_remedy(monkeypatch):
    with pytest.raises(ValueError, match=r"length must be in \[1, 12\]"):
        rna.rna_structures(13)
    monkeypatch.setattr("percolaw.checks.available_memory", lambda: 1 << 20)
    with pytest.raises(ResourceError, match="all sequences of 10 letters needs"):
        rna.rna_structures(10)
    monkeypatch.setitem(sys.modules, "RNA", None)
    with pytest.raises(MissingExtraError, match=r"RNA is not installed.*\[rna\]"):
        rna.rna_structures(2)


def test_structures_of_the_real_package(tmp_path):
    RNA = pytest.importorskip("RNA")
    data = rna.rna_structures(7, folder=tmp_path, quiet=True)
    for row in range(3, len(data), 997):
        assert data.label_names[data.labels[row]] == RNA.fold(data.text(row))[0]
