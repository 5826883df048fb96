"""Processes that tokenize a corpus together leave the bytes that one would have left."""

from pathlib import Path

import pytest
from fakes import FakeTokenizer

from minibert.data import shared_corpus
from minibert.data.corpus import build_corpus
from minibert.data.shared_corpus import build_together, stretch_of
from minibert.distributed.joining import joined
from minibert.distributed.ranks import Ranks
from minibert.errors import InputError

WORDS = "the cat sees a dog on every road".split()


class Saved(FakeTokenizer):
    """A fake whose files say what it is."""

    def save(self, folder):
        (folder / "fake.json").write_text("a fake")


def tokenizer() -> Saved:
    return Saved(20, WORDS)


def write_files(folder: Path, sizes: list[int]) -> list[Path]:
    """Write files of so many documents, of unequal lengths; none is a file of blank lines."""
    files = []
    for number, size in enumerate(sizes):
        texts = [" ".join(WORDS[: 1 + (number + k) % 8]) for k in range(size)]
        files.append(folder / f"{number}.txt")
        files[-1].write_text("\n\n".join(texts) + "\n", encoding="utf-8")
    return files


def made(rank: int, folder: str, names: list[str]) -> int:
    with joined() as ranks:
        shared_corpus.SMALL = 1
        files = [Path(name) for name in names] if ranks.first else []
        corpus = build_together(files, tokenizer(), Path(folder), ranks, workers=1, progress=False)
        again = build_together(files, tokenizer(), Path(folder), ranks, workers=1, progress=False)
        assert again.tokens == corpus.tokens
        return corpus.tokens


@pytest.mark.parametrize("sizes", [[5, 40, 0, 7, 11], [0, 900, 1]], ids=["many", "one holds most"])
def test_a_corpus_made_together_is_that_of_one_process(together, tmp_path, sizes):
    files = write_files(tmp_path, sizes)
    alone = build_corpus(files, tokenizer(), tmp_path / "alone", progress=False)
    tokens = together.results(2, made, str(tmp_path / "shared"), list(map(str, files)))
    assert tokens == [alone.tokens] * 2 and alone.tokens > 0
    names = sorted(path.name for path in (tmp_path / "alone").iterdir())
    assert sorted(path.name for path in (tmp_path / "shared").iterdir()) == names
    for name in names:
        assert (tmp_path / "shared" / name).read_bytes() == (tmp_path / "alone" / name).read_bytes()


@pytest.mark.parametrize("size", [1, 2, 3, 5])
def test_every_file_falls_to_one_process_and_neighbours_stay_together(tmp_path, size):
    files = write_files(tmp_path, [3, 8, 1, 30, 2, 2, 9])
    stretches = [stretch_of(files, Ranks(rank, size)) for rank in range(size)]
    assert [path for stretch in stretches for path in stretch] == files


def test_a_file_that_a_machine_does_not_see_is_named(tmp_path):
    with pytest.raises(InputError, match=r"absent\.txt: .* does not see this file"):
        stretch_of([tmp_path / "absent.txt"], Ranks())
