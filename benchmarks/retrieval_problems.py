"""What is to be found in the retrieval rows: queries, documents, and who is relevant, from the real data.

Cranfield (Cleverdon, 1967) grades from 1, most relevant, to 4; its gains here are 4 to 1, and the one row of
each query that is graded -1 counts as relevant with gain 1. TREC QA (Wang et al., 2007): the sentences that
were judged for a question are ranked; a question without a right one is left out. A dialogue's next turn is
to be found among ten: it, and nine drawn from other dialogues.
"""

import json
import lzma
import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from minibert.data.examples import SearchExample, TextExample
from minibert.data.readers import read_texts
from minibert.data.searches import read_judgements
from minibert.tasks.ranking_metrics import rank

Rankings = dict[str, list[str]]


@dataclass(frozen=True)
class Problem:
    """Texts by their ids, gains by query and document; candidates where only some are ranked."""

    queries: dict[str, str]
    documents: dict[str, str]
    judged: dict[str, dict[str, float]]
    candidates: dict[str, list[str]] | None = None

    def rankings(self, scores_QN: np.ndarray) -> Rankings:
        """Rank the documents of each query by a row of scores, in the order of `documents`."""
        places = {document: place for place, document in enumerate(self.documents)}
        found = {}
        for query, scores in zip(self.queries, scores_QN, strict=True):
            offered = self.candidates[query] if self.candidates else list(places)
            found[query] = rank({document: float(scores[places[document]]) for document in offered})
        return found


def rows_of(path: Path) -> list[dict[str, Any]]:
    """Read lines of JSON, packed by xz or not."""
    content = path.read_bytes()
    text = (lzma.decompress(content) if path.suffix == ".xz" else content).decode("utf-8")
    return [json.loads(line) for line in text.splitlines()]


def cranfield(data: Path) -> Problem:
    """Read all 225 queries and 1,400 abstracts."""
    folder = data / "cranfield"
    documents = {row["doc_id"]: row["text"] for row in rows_of(folder / "docs.jsonl.xz")}
    queries = {str(row["query_id"]): row["text"] for row in rows_of(folder / "queries.jsonl")}
    judged = {
        query: {document: float(5 - grade if grade > 0 else 1) for document, grade in grades.items()}
        for query, grades in read_judgements(folder / "qrels.tsv").items()
    }
    return Problem(queries, documents, judged)


def titles(problem: Problem, data: Path) -> list[SearchExample]:
    """Return the title of each abstract as a query for the rest of it: training without a judgement."""
    found = []
    for row in rows_of(data / "cranfield" / "docs.jsonl.xz"):
        rest = row["text"].removeprefix(row["title"]).strip()
        if row["title"].strip() and len(rest) > 40:
            found.append(SearchExample(row["title"], rest))
    return found


def trecqa(data: Path, part: str) -> tuple[Problem, list[TextExample]]:
    """Read the questions of a part with their judged sentences, and the same as labelled pairs."""
    pairs = read_texts(data / "trecqa" / f"{part}.csv")
    documents: dict[str, str] = {}
    queries: dict[str, str] = {}
    judged: dict[str, dict[str, float]] = {}
    numbers: dict[str, str] = {}
    for place, pair in enumerate(pairs):
        query = numbers.setdefault(pair.text, f"q{len(numbers):03}")
        document = f"d{place:05}"
        queries[query], documents[document] = pair.text, str(pair.pair)
        judged.setdefault(query, {})[document] = float(str(pair.label))
    candidates = {query: list(gains) for query, gains in judged.items()}
    return Problem(queries, documents, judged, candidates), pairs


def english_dialogues(data: Path, part: str) -> list[list[str]]:
    """Read the English turns; dev and test have a line of labels among the turns, which is left out."""
    [path] = (data / "xdailydialog").glob(f"{part}.jsonl*")
    return [[turn for turn in row["en"] if "\t" not in turn] for row in rows_of(path)]


def chinese_dialogues(data: Path, part: str) -> list[list[str]]:
    """Read the turns of CrossWOZ (Zhu et al., 2020)."""
    return [
        [turn["text"] for turn in row["turns"]] for row in rows_of(data / "crosswoz" / f"{part}.jsonl.xz")
    ]


def next_turns(dialogues: Sequence[Sequence[str]], *, cases: int, context: int = 3) -> Problem:
    """Draw places in dialogues (seed 0): the next turn and nine turns of other dialogues are candidates."""
    draw = random.Random(0)
    places = [(n, at) for n, turns in enumerate(dialogues) for at in range(1, len(turns))]
    problem = Problem({}, {}, {}, {})
    assert problem.candidates is not None
    for number, (n, at) in enumerate(draw.sample(places, min(cases, len(places)))):
        right = dialogues[n][at]
        offered = [right]
        while len(offered) < 10:
            other = draw.randrange(len(dialogues))
            turn = draw.choice(list(dialogues[other])[1:] or [right])
            if other != n and turn not in offered:
                offered.append(turn)
        draw.shuffle(offered)
        names = {f"q{number:04}-{place}": text for place, text in enumerate(offered)}
        problem.documents.update(names)
        problem.queries[f"q{number:04}"] = "\n".join(dialogues[n][max(0, at - context) : at])
        problem.candidates[f"q{number:04}"] = list(names)
        problem.judged[f"q{number:04}"] = {name: float(text == right) for name, text in names.items()}
    return problem
