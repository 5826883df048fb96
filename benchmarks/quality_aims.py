"""What the quality of the tasks is held against: a figure that was set beforehand, or another contestant.

`page.py` looks an aim up in the stores of cells (results/quality.jsonl, results/tasks-AREA.jsonl) and says
whether it was met. Means over the seeds that there are; how many is told.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from cells import Line, spelled
from page_tables import NOT_MEASURED, Table

Stores = Mapping[str, Sequence[Line]]  # by the file's name without .jsonl
BEST, TRAINER = "recommended, whole", "transformers Trainer"


@dataclass(frozen=True)
class Figure:
    """Where a score stands: a store, a row, a contestant; without a name the row's measure is meant."""

    store: str
    row: str
    contestant: str
    score: str = ""

    def lines(self, stores: Stores) -> list[Line]:
        """Return its lines, one a seed."""
        return [
            line
            for line in stores.get(self.store, ())
            if (line["row"], line["contestant"]) == (self.row, self.contestant)
        ]

    def mean(self, stores: Stores) -> float | None:
        """Return the mean over its seeds, or None where it was not run."""
        values = [line["scores"][self.name(line)] for line in self.lines(stores)]
        return sum(values) / len(values) if values else None

    def name(self, line: Line) -> str:
        """Return the name of the score."""
        return self.score or next(iter(line["scores"]))

    def shown(self, stores: Stores) -> str:
        """Write mean, spread and seeds."""
        lines = self.lines(stores)
        if not lines:
            return NOT_MEASURED
        count = f"{len(lines)} seed" + "s" * (len(lines) > 1)
        return f"{spelled(lines, self.name(lines[0]))} ({count})"


@dataclass(frozen=True)
class Aim:
    """A figure, and what it must reach: a number, or so much of another figure.

    wanted  the number, or what is added to `times` the other figure
    """

    what: str
    ours: Figure
    wanted: float = 0.0
    against: Figure | None = None
    times: float = 1.0
    at_most: bool = False

    def limit(self, stores: Stores) -> float | None:
        """Return the number to reach, or None where the other was not run."""
        if self.against is None:
            return self.wanted
        other = self.against.mean(stores)
        return None if other is None else self.times * other + self.wanted

    def row(self, stores: Stores) -> list[str]:
        """Return the line of the table."""
        limit, found = self.limit(stores), self.ours.mean(stores)
        verdict = ""
        if limit is not None and found is not None:
            verdict = "met" if (found <= limit if self.at_most else found >= limit) else "missed"
        number = "as much" if limit is None else f"{100 * limit:.1f}"
        wanted = f"at {'most' if self.at_most else 'least'} {number}"
        return [self.what, self.ours.contestant, wanted, self.told(), self.ours.shown(stores), verdict]

    def told(self) -> str:
        """Say where the number comes from."""
        if self.against is None:
            return "set beforehand"
        share = "" if self.times == 1 else f"{self.times:g} x "
        more = "" if not self.wanted else f" {'+' if self.wanted > 0 else '-'} {100 * abs(self.wanted):g}"
        other = (
            self.against.score if self.against.contestant == self.ours.contestant else self.against.contestant
        )
        return f"{share}{other}{more}"


def task(area: str, row: str, contestant: str = "minibert", score: str = "") -> Figure:
    """Return a figure of tasks.py."""
    return Figure(f"tasks-{area}", row, contestant, score)


def fixed(what: str, wanted: float, ours: Figure) -> Aim:
    """Return an aim that was set beforehand."""
    return Aim(what, ours, wanted)


def beside(what: str, ours: Figure, other: str, margin: float = 0.0) -> Aim:
    """Return the aim to be as good as another contestant of the row, and by so much better."""
    return Aim(what, ours, margin, Figure(ours.store, ours.row, other, ours.score))


def forgetting(method: str) -> Aim:
    """Return the aim that a method against forgetting halves it."""
    row = "clinc150, three groups of classes"
    ours, plain = (task("learn", row, name, "forgetting") for name in (method, "plain"))
    return Aim("forgetting, three groups of classes", ours, against=plain, times=0.5, at_most=True)


RACE = ("sst2", "banking77", "conll2003", "financial_phrasebank", "ag_news_small", "imdb")
SQUAD, CLINC = "squad_dev_subset", "clinc150, oos a class"
CHOICES, CHANCE = (task("classify", "cluewsc as choices", score=score) for score in ("accuracy", "chance"))
CENTRAL, LEAD = "the most central, MiniLM as it is", "the first sentences"
BBC, TRECQA, ZERO_SHOT = "bbc_news_summary, 3 sentences", "trecqa, test", "MiniLM as it is"
CRANFIELD = ("minibert, trained on title and abstract", "MiniLM, then a cross-encoder of trecqa")
RANKING = ("minibert, cross-encoder", "minibert, both, ranks fused")
AIMS = (
    fixed("sst2 dev, accuracy", 0.905, Figure("quality", "sst2", f"{BEST}, labelled reviews")),
    fixed("imdb dev, accuracy", 0.92, Figure("quality", "imdb", f"{BEST}, both ends")),
    fixed("imdb dev, accuracy, for the article", 0.93, Figure("quality", "imdb", f"{BEST}, both ends")),
    fixed("conll2003 testa, F1", 0.91, Figure("quality", "conll2003", BEST)),
    fixed("conll2003 testa, F1, as a stretch", 0.93, Figure("quality", "conll2003", BEST)),
    fixed("banking77 test, accuracy", 0.925, Figure("quality", "banking77", BEST)),
    *(beside(f"{row}, few rows", Figure("quality", row, "minibert"), "trainer") for row in RACE),
    *(beside(f"{row}, few rows", Figure("quality", row, "recommended"), "trainer") for row in RACE),
    *(
        beside(f"{row}, all rows", Figure("quality", row, name), "trainer, whole")
        for name in ("minibert, whole", BEST)
        for row in RACE[:-1]
    ),
    *(
        beside("imdb, 5,000 rows", Figure("quality", "imdb", f"{name}, 5,000 rows"), "trainer, 5,000 rows")
        for name in ("minibert", "recommended")
    ),
    fixed("clinc150, accuracy in scope", 0.95, task("classify", CLINC, score="in_scope_accuracy")),
    fixed("slu_snips, F1 of slots", 0.94, task("structure", "slu_snips", score="slot_f1")),
    fixed("slu_atis, whole sentences", 0.85, task("structure", "slu_atis", score="sentence_accuracy")),
    fixed("semeval2010_task8, macro-F1", 0.85, task("structure", "semeval2010_task8", score="macro_f1")),
    beside("squad_dev_subset, F1", task("qa", SQUAD), TRAINER),
    *(beside("cranfield, nDCG@10", task("retrieval", "cranfield", name), ZERO_SHOT) for name in CRANFIELD),
    *(beside("trecqa, MAP", task("retrieval", TRECQA, name), ZERO_SHOT) for name in RANKING),
    fixed("multi30k de-en test2016, BLEU", 0.33, task("seq2seq", "multi30k de-en", score="bleu")),
    beside("bbc_news_summary, ROUGE-1", task("retrieval", BBC), LEAD),
    beside("bbc_news_summary, ROUGE-1", task("retrieval", BBC), CENTRAL),
    beside("bbc titles, ROUGE-L", task("seq2seq", "bbc titles"), "first sentence"),
    beside("financial titles, ROUGE-L", task("seq2seq", "financial titles"), "first sentence"),
    fixed("xdailydialog, recall@1 of 10", 0.70, task("retrieval", "xdailydialog", "minibert, bi-encoder")),
    beside("en_books cloze, accuracy", task("classify", "en_books cloze"), "shared words"),
    Aim("cluewsc as choices, accuracy", CHOICES, against=CHANCE),
    beside("cluewsc as pairs, accuracy", task("classify", "cluewsc as pairs"), "most frequent"),
    beside("sst2, 200 labels, augmented", task("few", "sst2, 200 labels", "augmented"), "plain", 0.01),
    *(beside(f"{row}, few weights", task("adapt", row, "lora"), "full", -0.005) for row in RACE[:3]),
    beside("sst2, few weights", task("adapt", "sst2", "lora, twice as long"), "full", -0.005),
    beside("thucnews_titles, few weights", task("adapt", "thucnews_titles", "lora"), "full", -0.005),
    forgetting("replay"),
    forgetting("ewc"),
)


def table(stores: Stores) -> Table:
    """Return one row for each aim."""
    return [["what", "ours", "aim", "which is", "measured", ""], *(aim.row(stores) for aim in AIMS)]
