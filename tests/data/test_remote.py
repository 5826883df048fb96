"""Files that lie elsewhere are copied here once, and their trouble is told as it is."""

import fsspec
import pytest
from fakes import FakeTokenizer

from minibert.data.corpus import build_corpus
from minibert.data.files import expand
from minibert.data.remote import fetch
from minibert.errors import InputError, MissingExtra


@pytest.fixture
def storage(monkeypatch, tmp_path):
    """Put three files into a storage in memory, and the home folder into a place of its own."""
    monkeypatch.setenv("HOME", str(tmp_path))
    memory = fsspec.filesystem("memory")
    memory.store.clear()
    for name, text in {"b.txt": "The dog ran.\n", "a.txt": "The cat sat.\n", "notes.pdf": "no text"}.items():
        memory.pipe(f"/corpus/{name}", text.encode())
    yield memory
    memory.store.clear()


@pytest.fixture
def tokenizer():
    tokenizer = FakeTokenizer(9, ["The", "cat", "dog", "sat."])
    tokenizer.save = lambda folder: (folder / "fake.json").write_text("the fake one")
    return tokenizer


@pytest.mark.parametrize("pattern", ["memory://corpus", "memory://corpus/*.txt"])
def test_a_folder_or_a_glob_elsewhere_is_its_files_in_order(storage, pattern):
    assert [path.read_text() for path in expand(pattern)] == ["The cat sat.\n", "The dog ran.\n"]


def test_a_copy_is_fetched_again_only_when_the_original_has_changed(storage, tmp_path):
    [first] = fetch("memory://corpus/a.txt", cache=tmp_path)
    first.write_text("mine")
    assert fetch("memory://corpus/a.txt", cache=tmp_path) == [first] and first.read_text() == "mine"
    storage.pipe("/corpus/a.txt", b"another text")
    [second] = fetch("memory://corpus/a.txt", cache=tmp_path)
    assert second != first and second.read_text() == "another text"


def test_a_corpus_elsewhere_is_the_corpus_here(storage, tmp_path, tokenizer):
    (tmp_path / "a.txt").write_text("The cat sat.\n")
    there = build_corpus("memory://corpus/a.txt", tokenizer, tmp_path / "there", progress=False)
    here = build_corpus(tmp_path / "a.txt", tokenizer, tmp_path / "here", progress=False)
    assert there.ids.tolist() == here.ids.tolist()


def test_a_copy_that_breaks_off_leaves_nothing(storage, tmp_path, monkeypatch):
    class Broken:
        def __enter__(self):
            return self

        def __exit__(self, *error):
            return

        def read(self, size):
            raise OSError("the line is dead")

    monkeypatch.setattr(type(storage), "open", lambda *given: Broken())
    with pytest.raises(InputError, match=r"memory://corpus/a.txt: cannot be read: the line is dead"):
        fetch("memory://corpus/a.txt", cache=tmp_path / "cache")
    assert not [path for path in (tmp_path / "cache").rglob("*") if path.is_file()]


def test_what_is_not_there_is_named(storage):
    for name in ("memory://corpus/z.txt", "memory://nothing/*.txt"):
        with pytest.raises(InputError, match="no such file") as told:
            expand(name)
        assert name in str(told.value)
    with pytest.raises(InputError, match="nowhere://x"):
        expand("nowhere://x")


def test_a_protocol_without_its_package_names_the_extra(monkeypatch):
    def missing(pattern):
        raise ImportError("Install s3fs to access S3")

    monkeypatch.setattr("fsspec.core.url_to_fs", missing)
    with pytest.raises(MissingExtra, match=r"s3://bucket/a.txt: Install s3fs .*minibert-encoder\[remote\]"):
        fetch("s3://bucket/a.txt")
