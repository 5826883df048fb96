"""The rows of cells_classify.py: which files, which examples, and how many of them.

The files are those of ../shared/data (its README says what they are); nothing of them is copied. Where a set
has no validation part, every tenth training row is held out; where it has no test part, every fifth.
"""

import json
import lzma
import random
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from minibert.data.examples import ChoiceExample, TextExample
from minibert.data.labelled import read_multi_label, read_numbers
from minibert.data.readers import read_texts

GAP = "..."
WORD = re.compile(r"[a-z]{4,}")


@dataclass(frozen=True)
class Parts:
    """The examples of a row."""

    train: list[Any]
    validation: list[Any]
    test: list[Any]


@dataclass(frozen=True)
class Row:
    """A data set and what is learnt of it: the task, its recipe, and how many rows are seen.

    parts     folder of the data sets -> all examples
    rows      at most so many training rows, drawn once; 0 takes all
    held      the same of the validation rows
    settings  what differs from the recipe of all rows
    """

    name: str
    task: str
    parts: Callable[[Path], Parts]
    rows: int = 0
    epochs: int = 3
    max_length: int = 128
    chinese: bool = False
    settings: tuple[tuple[str, Any], ...] = ()
    tested: str = "the whole test part"
    held: int = 500

    @property
    def note(self) -> str:
        """What the record must not hide."""
        cap = f"{self.rows:,} training rows, " if self.rows else ""
        return f"{cap}{self.epochs} epochs, {self.max_length} tokens, {self.tested}"

    def read(self, data: Path) -> Parts:
        """Return the examples that take part."""
        parts = self.parts(data)
        rows = list(parts.train)
        random.Random(0).shuffle(rows)
        held = list(parts.validation)
        random.Random(0).shuffle(held)
        return replace(parts, train=rows[: self.rows or None], validation=held[: self.held or None])


def held_out(rows: Sequence[Any], every: int) -> tuple[list[Any], list[Any]]:
    """Return the rows that are kept and every so-manieth, in an order drawn once."""
    mixed = list(rows)
    random.Random(1).shuffle(mixed)
    return [row for n, row in enumerate(mixed) if n % every], mixed[::every]


def split(train: Sequence[Any], test: Sequence[Any] | None = None) -> Parts:
    """Hold out what is missing: a fifth for the test, then a tenth for validation."""
    kept, tested = (list(train), list(test)) if test is not None else held_out(train, 5)
    learnt, validation = held_out(kept, 10)
    return Parts(learnt, validation, tested)


def files(
    read: Callable[..., list[Any]],
    train: str,
    test: str | None = None,
    dev: str | None = None,
    **columns: str,
) -> Callable[[Path], Parts]:
    """Return a function that reads the files of a set."""

    def parts(data: Path) -> Parts:
        rows = read(data / train, **columns)
        tested = None if test is None else read(data / test, **columns)
        if dev is None or tested is None:
            return split(rows, tested)
        return Parts(rows, read(data / dev, **columns), tested)

    return parts


def cluewsc_pairs(data: Path) -> Parts:
    """Ask of each pronoun and each name whether they are one: a text, and "pronoun: name"."""

    def pairs(name: str) -> list[TextExample]:
        found = []
        for row in json_rows(data / f"fewclue/cluewsc/{name}.json"):
            target = row["target"]
            asked = f"{target['span2_text']}：{target['span1_text']}"
            found.append(TextExample(marked(row), asked, row["label"]))
        return found

    return Parts(pairs("train_few_all"), pairs("dev_few_all"), pairs("test_public"))


def cluewsc_choices(data: Path) -> Parts:
    """Choose among the names that are asked of one pronoun, where exactly one of them is right."""

    def groups(name: str) -> list[ChoiceExample]:
        grouped: dict[tuple[str, int], dict[str, bool]] = {}
        for row in json_rows(data / f"fewclue/cluewsc/{name}.json"):
            names = grouped.setdefault((marked(row), row["target"]["span2_index"]), {})
            names[row["target"]["span1_text"]] = row["label"] == "true"
        return [
            ChoiceExample(text, tuple(names), [*names.values()].index(True))
            for (text, _), names in grouped.items()
            if len(names) > 1 and sum(names.values()) == 1
        ]

    return Parts(groups("train_few_all"), groups("dev_few_all"), groups("test_public"))


def marked(row: dict[str, Any]) -> str:
    """Return a text whose pronoun stands in brackets."""
    start, word = row["target"]["span2_index"], row["target"]["span2_text"]
    return f"{row['text'][:start]}【{word}】{row['text'][start + len(word) :]}"


def cloze(data: Path) -> Parts:
    """Sentences of English books with a word missing, and four words to choose from.

    The three others stand elsewhere in the same book's neighbourhood and are about as frequent.
    """
    with lzma.open(data / "en_books/en_books.txt.xz", "rt", encoding="utf-8") as file:
        lines = [line.strip() for _, line in zip(range(120_000), file, strict=False) if 80 < len(line) < 220]
    draw = random.Random(0)
    draw.shuffle(lines)
    return split(gaps(lines[:4000], draw), gaps(lines[4000:5000], draw))


def gaps(lines: Sequence[str], draw: random.Random) -> list[ChoiceExample]:
    """Take a word out of each line; the other choices come from the lines around."""
    found = []
    for number, line in enumerate(lines):
        words = sorted(set(WORD.findall(line)))
        around = sorted(
            {w for other in lines[number + 1 : number + 4] for w in WORD.findall(other)} - {*words}
        )
        if len(words) < 3 or len(around) < 3:
            continue
        word = draw.choice(words)
        choices = [word, *draw.sample(around, 3)]
        draw.shuffle(choices)
        text = re.sub(rf"\b{word}\b", GAP, line, count=1)
        found.append(ChoiceExample(text, tuple(choices), choices.index(word)))
    return found


def newsgroups(data: Path) -> Parts:
    """Posts by their beginnings: the subject, then the text; of the test part 2,000, drawn once."""

    def posts(name: str) -> list[TextExample]:
        rows = json_rows(data / f"newsgroups20/{name}.jsonl.xz")
        return [
            TextExample(f"{row['subject']} {row['text']}", label=row["label"])
            for row in rows
            if row["text"].strip()
        ]

    tested = posts("test")
    random.Random(2).shuffle(tested)
    return split(posts("train"), tested[:2000])


def genres(data: Path) -> Parts:
    """Titles of films and all their genres; those without a genre are left out."""
    films = read_multi_label(data / "movielens_small/movies.csv", text_column="title", label_column="genres")
    return split([film for film in films if film.labels != ("(no genres listed)",)])


def json_rows(path: Path) -> list[dict[str, Any]]:
    """Read lines of JSON, packed by xz or not."""
    content = path.read_bytes()
    text = (lzma.decompress(content) if path.suffix == ".xz" else content).decode("utf-8")
    return [json.loads(line) for line in text.splitlines() if line.strip()]


QUICK = (("train.train_batch_size", 64), ("train.learning_rate", 4e-4))
WHOLE = (("train.freeze", 0),)  # pairs: an encoder of single texts has much to learn
REJECT = (("task.reject_label", "oos"), ("task.calibrate", True))
SETS = (*QUICK, ("task.threshold", 0.0))  # the threshold is chosen on validation
CLINC = files(read_texts, "clinc150/train.jsonl.xz", "clinc150/test.jsonl", "clinc150/dev.jsonl")
HEADLINES = "fin_sentiment_scores/semeval2017_headlines.jsonl"
STS = files(read_numbers, "sts_semeval/train.jsonl.xz", "sts_semeval/test.jsonl", "sts_semeval/dev.jsonl")
SICK = ("sick2014/train.jsonl", "sick2014/test.jsonl", "sick2014/dev.jsonl")
MRPC = files(read_texts, "mrpc/train.jsonl", "mrpc/test.jsonl", "mrpc/dev.jsonl")
PHRASES = files(read_texts, "financial_phrasebank/train.jsonl", "financial_phrasebank/test.jsonl")
BANKING = files(read_texts, "banking77/train.csv", "banking77/test.csv")
RTE = files(read_texts, "rte123/train.jsonl.xz", "rte123/test.jsonl")
ZH_STS = files(read_numbers, "zh_stsb/train.jsonl", "zh_stsb/test.jsonl", "zh_stsb/dev.jsonl")
LCQMC = files(read_texts, "lcqmc/train.jsonl.xz", "lcqmc/test.jsonl")
AFQMC = files(read_texts, "afqmc/train.jsonl.xz", "afqmc/dev.jsonl")
PAWS = files(read_texts, "zh_pawsx/train.jsonl", "zh_pawsx/test.jsonl")
TITLES = files(read_texts, "thucnews_titles/train.jsonl", "thucnews_titles/test.jsonl")
WAIMAI = files(read_texts, "waimai_10k/train.csv")
ROWS = (
    Row("clinc150, oos by confidence", "classification", CLINC, 0, 2, 32, settings=QUICK + REJECT, held=0),
    Row("clinc150, oos a class", "classification", CLINC, 0, 2, 32, settings=QUICK, held=0),
    Row("movielens genres", "multi_label", genres, max_length=32, settings=SETS, tested="a fifth"),
    Row("sts_semeval", "regression", STS, settings=WHOLE),
    Row("sick2014 relatedness", "regression", files(read_numbers, *SICK), epochs=4, settings=WHOLE),
    Row("sick2014 entailment", "classification", files(read_texts, *SICK), epochs=4, settings=WHOLE),
    Row("mrpc", "classification", MRPC, epochs=4, settings=WHOLE),
    Row("fin_sentiment headlines", "regression", files(read_numbers, HEADLINES), epochs=5),
    Row("financial_phrasebank", "classification", PHRASES, rows=2000, epochs=2),
    Row("banking77", "classification", BANKING, rows=4000, max_length=64),
    Row("rte123", "classification", RTE, epochs=5, settings=WHOLE),
    Row("en_books cloze", "multiple_choice", cloze, rows=1000, epochs=2, max_length=64),
    Row(
        "newsgroups20",
        "classification",
        newsgroups,
        epochs=2,
        max_length=96,
        tested="2,000 of the test part",
    ),
    Row("zh_stsb", "regression", ZH_STS, epochs=6, chinese=True),
    Row("lcqmc", "classification", LCQMC, rows=10_000, epochs=4, chinese=True),
    Row("afqmc", "classification", AFQMC, rows=10_000, epochs=4, chinese=True),
    Row("zh_pawsx", "classification", PAWS, epochs=6, chinese=True),
    Row("thucnews_titles", "classification", TITLES, rows=10_000, epochs=4, chinese=True),
    Row("waimai_10k", "classification", WAIMAI, epochs=4, chinese=True),
    Row("cluewsc as pairs", "classification", cluewsc_pairs, epochs=5, chinese=True),
    Row("cluewsc as choices", "multiple_choice", cluewsc_choices, epochs=5, chinese=True),
)
