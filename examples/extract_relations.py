"""Find people and places in a running text, and who lives or was born where.

python examples/extract_relations.py runs/enc

Two models are trained on a few made-up sentences, a tagger and a relation model, and read a text together.
"""

import itertools
import sys
import tempfile
from pathlib import Path

import minibert as mb
from minibert.data.tagged import from_words

PEOPLE = ("Anna", "Bob", "Clara", "David")
PLACES = ("Paris", "Rome", "Oslo", "Lima")
TEMPLATES = {
    "lives_in": "{person} lives in {place} .",
    "born_in": "{person} was born in {place} .",
    "no_relation": "{person} dreams of {place} .",
}


def made_up():
    """Return sentences with tags, and each pair of mentions with its relation, in both orders."""
    tagged, pairs = [], []
    for person, place, (relation, template) in itertools.product(PEOPLE, PLACES, TEMPLATES.items()):
        words = template.format(person=person, place=place).split()
        tags = ["B-PER" if word == person else "B-LOC" if word == place else "O" for word in words]
        tagged.append(from_words(words, tags))
        text = tagged[-1].text
        head, tail = ((text.index(name), text.index(name) + len(name)) for name in (person, place))
        pairs += [
            mb.RelationExample(text, head, tail, relation),
            mb.RelationExample(text, tail, head, "no_relation"),
        ]
    return tagged, pairs


tagged, pairs = made_up()
settings = {"train.num_train_epochs": 40, "train.learning_rate": 3e-3, "data.progress": False}
with tempfile.TemporaryDirectory() as folder:
    tagger, relater = (
        mb.finetune(sys.argv[1], task=task, train=rows, output_dir=Path(folder) / task, settings=settings)
        for task, rows in (("tagging", tagged), ("relations", pairs))
    )

[found] = mb.extract(["Anna lives in Rome. Bob was born in Oslo. Clara dreams of Lima."], tagger, relater)
for entity in found.entities:
    print(f"{entity.start:>3}-{entity.end:<3} {entity.label:4} {entity.text}")
for triple in found.triples:
    print(f"{triple.head.text} --{triple.relation}--> {triple.tail.text}  ({triple.probability:.2f})")
