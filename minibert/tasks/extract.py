"""From running text to who is related to whom: a tagger finds the entities, a relation model asks every pair.

    text -> sentences -> entities -> pairs of entities of one sentence -> triples (head, relation, tail)

The two models are trained apart and know nothing of each other, as in Z. Zhong, D. Chen, 2021, "A
Frustratingly Easy Approach for Entity and Relation Extraction". A mistake of the first cannot be mended by
the second, so `triple_scores` is to be read twice: with the tagger's entities, and with the right ones.

Left out: relations across sentences, and names of one thing that are spelt differently (coreference).
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from minibert.data.examples import AnnotatedSentence, RelationExample
from minibert.errors import InputError
from minibert.tasks.given import listed
from minibert.tasks.metrics import class_scores
from minibert.tasks.model import Model
from minibert.tasks.relation_scores import relation_of
from minibert.tasks.relations import Relations
from minibert.tasks.tagging import Tagging
from minibert.tasks.tags import Entity
from minibert.text.sentences import sentence_spans


@dataclass(frozen=True)
class Triple:
    """A relation that was found: it runs from head to tail; its probability is in 0..1."""

    head: Entity
    relation: str
    tail: Entity
    probability: float

    def plain(self) -> dict[str, Any]:
        """Return it as plain values, for JSON."""
        ends = {"head": self.head.plain(), "relation": self.relation, "tail": self.tail.plain()}
        return {**ends, "probability": round(self.probability, 6)}


@dataclass(frozen=True)
class Extracted:
    """The entities and the triples of one text, with their places in its characters."""

    text: str
    entities: tuple[Entity, ...]
    triples: tuple[Triple, ...]

    def plain(self) -> dict[str, Any]:
        """Return it as plain values, for JSON."""
        entities = [entity.plain() for entity in self.entities]
        return {"text": self.text, "entities": entities, "relations": [one.plain() for one in self.triples]}


def extract(texts: Sequence[str], tagger: Model, relater: Model) -> list[Extracted]:
    """Return the entities and triples of running texts.

    tagger   a model of the task tagging whose tags mark spans
    relater  a model of the task relations; pairs whose label stands for no relation give no triple
    Pairs are asked within a sentence, in both orders unless the labels say the direction themselves. Raises
    InputError for a model of another task.

    >>> from minibert.tasks.model import load
    >>> extract(["Ada lives in London."], load("runs/clf"), load("runs/clf"))
    Traceback (most recent call last):
    minibert.errors.InputError: the tagger is a model of classification; tagging of spans is wanted
    """
    if not isinstance(tagger.task, Tagging) or tagger.task.tag_scheme is None:
        raise InputError(f"the tagger is a model of {tagger.task.name}; tagging of spans is wanted")
    _relations(relater)
    texts = listed(texts)
    places = [(number, span) for number, text in enumerate(texts) for span in sentence_spans(text)]
    sentences = [texts[number][start:end] for number, (start, end) in places]
    entities = [answer.entities for answer in tagger.predict(sentences)]
    results = relate(sentences, entities, relater)
    found: list[tuple[list[Entity], list[Triple]]] = [([], []) for _ in texts]
    for (number, (start, _)), result in zip(places, results, strict=True):
        found[number][0].extend(_moved(entity, start) for entity in result.entities)
        found[number][1].extend(
            replace(triple, head=_moved(triple.head, start), tail=_moved(triple.tail, start))
            for triple in result.triples
        )
    return [Extracted(text, tuple(e), tuple(t)) for text, (e, t) in zip(texts, found, strict=True)]


def relate(sentences: Sequence[str], entities: Sequence[Sequence[Entity]], relater: Model) -> list[Extracted]:
    """Return the triples between given entities of each sentence."""
    task = _relations(relater)
    asked: list[tuple[int, Entity, Entity]] = []
    for number, known in enumerate(entities):
        ordered = sorted(known, key=lambda entity: (entity.start, entity.end))
        for i, head in enumerate(ordered):
            others = ordered[i + 1 :] if task.directed else ordered
            asked += [
                (number, head, tail) for tail in others if (head.start, head.end) != (tail.start, tail.end)
            ]
    pairs = [RelationExample(sentences[n], (a.start, a.end), (b.start, b.end)) for n, a, b in asked]
    triples: list[list[Triple]] = [[] for _ in sentences]
    for (number, head, tail), answer in zip(asked, relater.predict(pairs), strict=True):
        if answer.label == task.negative:
            continue
        relation, swapped = relation_of(answer.label)
        first, second = (tail, head) if swapped else (head, tail)
        triples[number].append(Triple(first, relation, second, answer.probabilities[answer.label]))
    parts = zip(sentences, entities, triples, strict=True)
    return [Extracted(text, tuple(known), tuple(found)) for text, known, found in parts]


def triple_scores(found: Sequence[Extracted], gold: Sequence[AnnotatedSentence]) -> dict[str, float]:
    """Return F1, precision and recall of the entities and of the relations, counted over all sentences.

    A relation is right if the borders of both mentions and its label are; "strict_relation" wants the labels
    of both mentions as well. An entity is right if its borders and its label are.
    """
    if len(found) != len(gold) or not gold:
        raise InputError(f"{len(found)} sentences were answered, {len(gold)} are annotated; give as many")
    counts = {name: Counter[str]() for name in ("relation", "strict_relation", "entity")}
    for answer, annotated in zip(found, gold, strict=True):
        given, wanted = _facts(answer), _facts_of(annotated)
        for name, counter in counts.items():
            right = len(given[name] & wanted[name])
            counter.update(right=right, given=len(given[name]), wanted=len(wanted[name]))
    scores: dict[str, float] = {}
    for name, counter in counts.items():
        ratios = class_scores(counter["right"], counter["given"], gold=counter["wanted"])
        scores[f"{name}_f1"] = ratios["f1"]
        scores[f"{name}_precision"], scores[f"{name}_recall"] = ratios["precision"], ratios["recall"]
    return scores


def _relations(relater: Model) -> Relations:
    if not isinstance(relater.task, Relations):
        raise InputError(f"the relater is a model of {relater.task.name}; relations is wanted")
    return relater.task


def _moved(entity: Entity, by: int) -> Entity:
    return replace(entity, start=entity.start + by, end=entity.end + by)


def _facts(answer: Extracted) -> dict[str, set[Any]]:
    relations, strict = set(), set()
    for triple in answer.triples:
        head, tail = triple.head, triple.tail
        fact = ((head.start, head.end), triple.relation, (tail.start, tail.end))
        relations.add(fact)
        strict.add((*fact, head.label, tail.label))
    entities = {(entity.start, entity.end, entity.label) for entity in answer.entities}
    return {"relation": relations, "strict_relation": strict, "entity": entities}


def _facts_of(sentence: AnnotatedSentence) -> dict[str, set[Any]]:
    relations, strict = set(), set()
    for i, j, label in sentence.relations:
        head, tail = sentence.entities[i], sentence.entities[j]
        fact = (head[:2], label, tail[:2])
        relations.add(fact)
        strict.add((*fact, head[2], tail[2]))
    return {"relation": relations, "strict_relation": strict, "entity": set(sentence.entities)}
