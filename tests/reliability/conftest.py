"""What tests of reliability share: files to run on, and a process that runs commands and can kill them."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import tiny_runs
from forked_runs import Forks


@pytest.fixture(scope="session")
def given(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with an encoder, a corpus, labelled texts and tagged words."""
    folder = tmp_path_factory.mktemp("given")
    tiny_runs.make_encoder(folder / "enc")
    tiny_runs.write_corpus(folder / "corpus.txt")
    tiny_runs.write_table(folder / "train.csv", rows=24)
    tiny_runs.write_columns(folder / "people.conll", sentences=16)
    return folder


@pytest.fixture(scope="session")
def forks() -> Iterator[Forks]:
    forks = Forks()
    yield forks
    forks.close()
