"""What the documents say is true: their Python runs, their links lead somewhere, docstring examples hold.

A block fenced as ```python runs in a folder that holds only the files that the first block of docs/README.md
writes; the blocks of one document share their names and run in order; a budget of half an hour becomes one
of two seconds. A block fenced as ```python no-run is only compiled. Docstring examples run in a copy of such
a folder, which holds two files and the small models of `write_models` as well, and know its tokenizer by the
name `tokenizer`.
"""

import doctest
import importlib
import io
import re
import shutil
import time
import traceback
from contextlib import chdir, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

import pytest
import torch

from minibert.data.batches import ExampleBatches
from minibert.data.readers import read_texts
from minibert.model.config import EncoderConfig
from minibert.model.encoder import Encoder
from minibert.tasks.classification import Classification
from minibert.tasks.model import Model
from minibert.text.loading import load_tokenizer
from minibert.text.sentencepiece import train_sentencepiece
from minibert.text.tokenizer import Tokenizer
from minibert.training.config import TrainingConfig
from minibert.training.loop import train

ROOT = Path(__file__).resolve().parent.parent
MAP = ROOT / "docs" / "README.md"
DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
LINKED = [*DOCUMENTS, ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md"]
FENCE = re.compile(r"^```(?P<language>[^\n`]*)\n(?P<code>.*?)^```\s*$", re.MULTILINE | re.DOTALL)
CODE_SPAN = re.compile(r"`[^`\n]*`")
LINK = re.compile(
    r"""\]\(\s*<?(?P<inline>[^)\s>]+)|(?:src|href)="(?P<html>[^"]+)"|^\[[^\]]+\]:\s*(?P<foot>\S+)""", re.M
)
ELSEWHERE = re.compile(r"[a-z][a-z0-9+.-]*:|#|//")


@dataclass(frozen=True)
class Block:
    """One fenced piece of Python; `line` is that of its first line of code."""

    code: str
    line: int
    runs: bool


def python_blocks(text: str) -> list[Block]:
    """Find the fenced blocks of Python in a document."""
    return [
        Block(match["code"], text[: match.start("code")].count("\n") + 1, "no-run" not in match["language"])
        for match in FENCE.finditer(text)
        if match["language"].split()[:1] == ["python"]
    ]


def run_document(path: Path) -> None:
    """Run the blocks of a document in the current folder; fail with line and seconds of each block."""
    names: dict[str, object] = {"__name__": "__main__"}
    seconds = []
    for block in python_blocks(path.read_text("utf-8")):
        begin = time.perf_counter()
        try:
            shortened = block.code.replace('budget="30m"', 'budget="2s"')
            code = compile("\n" * (block.line - 1) + shortened, str(path), "exec")
            if block.runs:
                exec(code, names)
        except (Exception, SystemExit):  # noqa: BLE001 - whatever a document raises is a broken document
            seconds.append(f"line {block.line}: {time.perf_counter() - begin:.1f} s")
            pytest.fail(f"{path.name}, {'; '.join(seconds)}\n{traceback.format_exc()}", pytrace=False)
        seconds.append(f"line {block.line}: {time.perf_counter() - begin:.1f} s")


def broken_links(path: Path) -> list[str]:
    """Find relative links of a document that lead to no file; what stands in code is no link."""
    text = FENCE.sub(lambda match: "\n" * match[0].count("\n"), path.read_text("utf-8"))
    text = CODE_SPAN.sub("", text)
    found = []
    for match in LINK.finditer(text):
        target = match[match.lastgroup or 0]
        if not ELSEWHERE.match(target) and not (path.parent / target.split("#")[0]).exists():
            line = text[: match.start(match.lastgroup or 0)].count("\n") + 1
            found.append(f"{path.name}:{line}: {target} is not there")
    return found


def run_examples(module: ModuleType, tokenizer: Tokenizer | None = None) -> tuple[int, str]:
    """Run the examples in a module's docstrings; return how many ran, and what went wrong."""
    runner = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE)
    report = io.StringIO()
    for test in doctest.DocTestFinder().find(module, extraglobs={"tokenizer": tokenizer}):
        with redirect_stdout(io.StringIO()):
            runner.run(test, out=report.write)
    return runner.tries, report.getvalue()


def write_samples(folder: Path) -> None:
    """Write what documents may speak of, as docs/README.md tells its readers to."""
    first = python_blocks(MAP.read_text("utf-8"))[0]
    with chdir(folder):
        exec(compile(first.code, str(MAP), "exec"), {})


def write_models(folder: Path) -> None:
    """Write what docstrings may speak of besides.

    Two small files, a tokenizer, and in runs/clf a classifier of train.csv.
    """
    (folder / "cats.txt").write_text("The cat sat.\n\nThe cat ran.\n", "utf-8")
    (folder / "people.conll").write_text("Anna B-PER\nlives O\n", "utf-8")
    with (folder / "corpus.txt").open(encoding="utf-8") as lines:
        tokenizer = train_sentencepiece(lines, 1000)
    tokenizer.save(folder / "tokenizer")
    torch.manual_seed(0)
    config = EncoderConfig.preset("tiny", vocab_size=tokenizer.vocab_size)
    rows = read_texts(folder / "train.csv")
    model = Model(Encoder(config), Classification.build(tokenizer, config, rows, {"pooling": "mean"}))
    windows = [window for row in rows for window in model.task.encode(row)]
    batches = ExampleBatches(windows, model.task.collate, batch_size=32)
    for _ in train(model, batches, TrainingConfig(max_steps=30, learning_rate=2e-3, precision="fp32")):
        pass
    model.save(folder / "runs" / "clf")


@pytest.fixture(scope="session")
def samples(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make the folder of docstring examples once; it is to be copied, not changed."""
    folder = tmp_path_factory.mktemp("samples")
    write_samples(folder)
    write_models(folder)
    return folder


def modules_with_examples() -> list[str]:
    """Name the modules of minibert whose text holds an interactive example."""
    paths = [path for path in sorted((ROOT / "minibert").rglob("*.py")) if ">>> " in path.read_text("utf-8")]
    return [
        ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__") for path in paths
    ]


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_the_python_in_a_document_runs(path, tmp_path, monkeypatch):
    write_samples(tmp_path)
    monkeypatch.chdir(tmp_path)
    run_document(path)


@pytest.mark.parametrize("path", LINKED, ids=lambda path: str(path.relative_to(ROOT)))
def test_the_links_of_a_document_lead_somewhere(path):
    assert broken_links(path) == []


@pytest.mark.parametrize("name", modules_with_examples())
def test_the_examples_in_docstrings_hold(name, samples, tmp_path, monkeypatch):
    if ".fused." in name:
        pytest.importorskip("triton", reason="triton is not installed (it is made for Linux)")
    shutil.copytree(samples, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    tries, report = run_examples(importlib.import_module(name), load_tokenizer("tokenizer"))
    assert not report, report
    assert tries, f"{name} shows an example that doctest does not find; is it in a comment?"


# The checks themselves: each must find what it is there to find.


def document(folder: Path, text: str) -> Path:
    """Write a small document; @ stands for the three backticks of a fence."""
    path = folder / "page.md"
    path.write_text(text.replace("@", "```"), "utf-8")
    return path


def test_blocks_share_names_and_other_languages_are_left_alone(tmp_path):
    page = document(tmp_path, "@python\nx = 1\n@\n@bash\nrm x\n@\n@\nraise\n@\n@python\nassert x == 1\n@\n")
    assert [block.line for block in python_blocks(page.read_text("utf-8"))] == [2, 11]
    run_document(page)


@pytest.mark.parametrize("last", ["raise ValueError('seven')", "raise SystemExit(2)", "x ="])
def test_a_failing_block_is_reported_with_its_line_and_time(tmp_path, last):
    page = document(tmp_path, f"# Title\n\n@python\nx = 1\n@\n\n@python\n\n{last}\n@\n")
    with pytest.raises(pytest.fail.Exception) as failure:
        run_document(page)
    assert re.search(r"page\.md, line 4: \d+\.\d s; line 8: \d+\.\d s", str(failure.value))
    assert "line 9" in str(failure.value)


def test_a_block_marked_no_run_is_compiled_only(tmp_path):
    run_document(document(tmp_path, "@python no-run\nraise ValueError\n@\n"))
    with pytest.raises(pytest.fail.Exception, match="SyntaxError"):
        run_document(document(tmp_path, "@python no-run\nx =\n@\n"))


def test_a_broken_link_is_found_and_a_good_one_is_not(tmp_path):
    (tmp_path / "there.md").touch()
    text = (
        "[a](there.md#part) [b](https://example.org/x) [c](#here) `[d](code.md)` [e](<there.md>)\n"
        '@python\nx = "[f](fence.md)"\n@\n[g](gone.md "title")\n<img src="gone.svg">\n[h]: lost.md\n'
    )
    found = broken_links(document(tmp_path, text))
    assert found == [
        "page.md:5: gone.md is not there",
        "page.md:6: gone.svg is not there",
        "page.md:7: lost.md is not there",
    ]


def test_a_wrong_docstring_example_is_reported():
    module = ModuleType("small", ">>> 1 + 1\n2\n>>> 1 + 2\n4\n")
    tries, report = run_examples(module)
    assert tries == 2
    assert "Expected:\n    4\nGot:\n    3" in report


def test_the_block_for_readers_writes_all_samples(tmp_path):
    write_samples(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {"corpus.txt", "train.csv", "dev.csv", "test.csv"}
    corpus = (tmp_path / "corpus.txt").read_text("utf-8")
    assert len(corpus) > 300_000 and corpus.count("\n\n") > 1000
    rows = (tmp_path / "train.csv").read_text("utf-8").splitlines()
    assert len(rows) == 1 + 4 * 2 * 8
    assert {row.rpartition(",")[2] for row in rows[1:]} == {"positive", "negative"}
