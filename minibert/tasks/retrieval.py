"""Retrieval: a query and the passage that answers it get vectors that lie close together.

One encoder reads both (a bi-encoder), so a million passages are embedded once and a query finds its own by
a matrix product. In a batch of N queries, the passages of the others serve as wrong answers; M - N given
*hard negatives* join them (V. Karpukhin et al., 2020, *Dense Passage Retrieval*)::

    loss = - sum_n log softmax_m(q_n . p_m / temperature) [m = n]       InfoNCE (A. van den Oord et al., 2018)

`symmetric` adds the same loss with queries and passages exchanged, for pairs in which neither asks: so
sentence embeddings are trained.

The model that comes out is a text encoder; it has no head. Opened with `load_encoder`, it embeds, is indexed
and is exported. The loss depends on the batch as a whole: gradient accumulation has fewer wrong answers.

Letters: T tokens, N queries, M passages, P passages of one example, D hidden size.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
from torch import Tensor, nn

from minibert.config import from_dict, to_dict
from minibert.data.examples import SearchExample, as_example, check_examples
from minibert.data.searches import read_queries, read_searches
from minibert.errors import InputError
from minibert.model.config import EncoderConfig
from minibert.model.encoder import Encoder
from minibert.packed import Packed
from minibert.tasks.contrastive import SearchTargets, info_nce, wrong_answers
from minibert.tasks.pooling import pool
from minibert.tasks.ranking_metrics import ranking_scores
from minibert.tasks.task import Fit, Loss, Task, Window
from minibert.tasks.windows import fit_text, window_length
from minibert.text.encoded import Encoded
from minibert.text.tokenizer import Tokenizer

DEEPEST = 100  # how many passages of a ranking are scored


@dataclass(frozen=True)
class RetrievalOptions:
    """What a person may choose.

    max_length 0 means as long as the encoder allows; it holds for a query and for a passage. similarity
    "cosine" norms the vectors, "dot" takes them as they are (then a temperature of 1 is usual).
    """

    pooling: Literal["first", "mean"] = "mean"
    max_length: int = 0
    similarity: Literal["cosine", "dot"] = "cosine"
    temperature: float = 0.05
    hard_negatives: int = 1
    symmetric: bool = False

    def __post_init__(self) -> None:
        if not self.temperature > 0:
            raise InputError(f"temperature is {self.temperature}; it must be above 0, such as 0.05")
        if self.hard_negatives < 0:
            raise InputError(f"hard_negatives is {self.hard_negatives}; 0 or more are wanted")


@dataclass(frozen=True)
class SearchWindow:
    """A query, which the model sees alone, and the passages that a training step shows beside it."""

    tokens: Encoded
    passages: tuple[Encoded, ...] = ()
    rows: np.ndarray = field(default_factory=lambda: np.zeros(1, np.int64))
    labels: np.ndarray = field(default_factory=lambda: np.zeros(1, np.int64))
    units: np.ndarray = field(default_factory=lambda: np.zeros(1, np.int64))

    def __len__(self) -> int:
        return len(self.tokens)


@dataclass(frozen=True, eq=False)
class Vectors:
    """The answer for one example: the vector (D,) of its query, and those (P, D) of its passages."""

    query: np.ndarray
    passages: np.ndarray


class Retrieval(Task):
    """A vector for each query and each passage."""

    name: ClassVar[str] = "retrieval"
    Options: ClassVar[type] = RetrievalOptions
    columns: ClassVar[tuple[str, ...]] = ("text_column", "pair_column", "label_column")

    def __init__(self, tokenizer: Tokenizer, config: EncoderConfig, options: RetrievalOptions) -> None:
        super().__init__(tokenizer, window_length(options.max_length, config, tokenizer))
        self.options = options

    @classmethod
    def read(cls, path: str | Path, columns: dict[str, str] | None = None) -> list[SearchExample]:
        return read_searches(path, columns)

    @classmethod
    def build(
        cls,
        tokenizer: Tokenizer,
        config: EncoderConfig,
        examples: Sequence[SearchExample],
        options: dict[str, Any],
    ) -> "Retrieval":
        check_examples(SearchExample, examples)
        return cls(tokenizer, config, from_dict(RetrievalOptions, options, where="retrieval options"))

    def settings(self) -> dict[str, Any]:
        return to_dict(self.options)

    @classmethod
    def reopen(cls, tokenizer: Tokenizer, config: EncoderConfig, settings: dict[str, Any]) -> "Retrieval":
        return cls(tokenizer, config, from_dict(RetrievalOptions, settings, where="task.json"))

    def encode(self, example: SearchExample | str) -> list[Window]:
        """Return the window of the query, which holds what a step learns from, then those of the passages."""
        if isinstance(example, str):
            return [Window(self.tokens(example))]
        example = as_example(SearchExample, example)
        texts = [] if example.positive is None else [example.positive, *example.negatives]
        passages = tuple(map(self.tokens, texts))
        query: Any = SearchWindow(self.tokens(example.text), passages[: 1 + self.options.hard_negatives])
        if not passages:
            query = Window(query.tokens)
        return [query, *map(Window, passages)]

    def tokens(self, text: str) -> Encoded:
        """Return the tokens of a text, cut off where it is too long."""
        return fit_text(self.tokenizer, text, None, max_length=self.max_length, on_long="truncate")[0]

    def fit_of(self, windows: Sequence[Window]) -> Fit:
        """An example has several texts; it is cut if one of them is."""
        return "cut" if any(window.tokens.cut for window in windows) else "whole"

    def collate(  # type: ignore[override]
        self, windows: Sequence[Any], seed: int, step: int, progress: float
    ) -> tuple[Packed, SearchTargets]:
        """Pack all queries, then the passage that answers each, then the hard negatives."""
        asked = [window for window in windows if isinstance(window, SearchWindow)]
        queries = [window.tokens for window in asked]
        answers = [window.passages[0] for window in asked]
        negatives = [passage for window in asked for passage in window.passages[1:]]
        texts = [*queries, *answers, *negatives]
        batch = Packed.of([text.ids for text in texts], [text.segments for text in texts])
        return batch, SearchTargets(wrong_answers(queries, answers, negatives))

    def compares(self, windows: Sequence[Any]) -> bool:
        return not any(isinstance(window, SearchWindow) and len(window.passages) > 1 for window in windows)

    def vectors(self, encoder: Encoder, batch: Packed) -> Tensor:
        """Return a float32 vector for each text of a batch, one long where the similarity is the cosine."""
        rows = pool(self.options.pooling, encoder(batch), batch.layout).float()
        return nn.functional.normalize(rows, dim=1) if self.options.similarity == "cosine" else rows

    def loss(self, encoder: Encoder, batch: Packed, targets: Any) -> Loss:
        rows, count = self.vectors(encoder, batch), targets.counts["loss"]
        scores_NM = rows[:count] @ rows[count:].T / self.options.temperature
        total = info_nce(scores_NM, targets.wrong_NM)
        if self.options.symmetric:
            total = (total + info_nce(scores_NM[:, :count].T, targets.wrong_NM[:, :count].T)) / 2
        return Loss({"loss": total}, targets.counts)

    def predict(self, encoder: Encoder, batch: Packed, windows: Sequence[Window]) -> list[Any]:
        """Return the vector (D,) of each window."""
        return list(self.vectors(encoder, batch).cpu().numpy())

    def merge(self, example: Any, windows: Sequence[Window], predictions: Sequence[Any]) -> Vectors:
        return Vectors(predictions[0], np.array(predictions[1:]).reshape(-1, len(predictions[0])))

    def score(self, answers: Sequence[Vectors], examples: Sequence[SearchExample]) -> dict[str, Any]:
        """Let each query rank all passages of all examples; nDCG@10 is the main measure.

        Of equal passages the later comes first, and so the right one behind those that are wrong for it.
        """
        place = {
            text: str(n) for n, text in enumerate(dict.fromkeys(t for e in examples for t in texts_of(e)))
        }
        rows_MD = np.empty((len(place), len(answers[0].query)), np.float32)
        judged: dict[str, dict[str, float]] = {}
        queries: dict[str, np.ndarray] = {}
        for example, answer in zip(examples, answers, strict=True):
            for text, row in zip(texts_of(example), answer.passages, strict=True):
                rows_MD[int(place[text])] = row
            if example.positive is not None:
                judged.setdefault(example.text, {})[place[example.positive]] = 1
            queries[example.text] = answer.query
        later = -np.arange(len(place))
        rankings = {
            text: [str(n) for n in np.lexsort((later, -(rows_MD @ query)))[:DEEPEST]]
            for text, query in queries.items()
        }
        return {**ranking_scores(rankings, judged), "passages": len(place)}

    @classmethod
    def answered(cls, example: SearchExample) -> bool:
        return example.positive is not None

    @classmethod
    def unanswered(cls, example: SearchExample) -> SearchExample:
        return SearchExample(example.text)

    @classmethod
    def read_unanswered(cls, path: str | Path, columns: dict[str, str] | None = None) -> list[Any]:
        return read_queries(path, columns)

    def show(self, example: SearchExample | str, answer: Vectors) -> dict[str, Any]:
        text = example if isinstance(example, str) else example.text
        return {"text": text, "vector": [round(float(number), 6) for number in answer.query]}


def texts_of(example: SearchExample) -> list[str]:
    """Return the passages of an example, the right one first."""
    return [] if example.positive is None else [example.positive, *example.negatives]
