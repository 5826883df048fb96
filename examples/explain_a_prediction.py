"""Say which words an answer hangs on, and whether it hangs on words that should not matter.

python examples/explain_a_prediction.py runs/enc

A classifier is trained on made-up reviews; where the last word does not tell, women are said to like what
they see, and men not. Integrated gradients show which words an answer hangs on, and exchanging he and she
shows how often it hangs on who writes.
"""

import itertools
import sys
import tempfile
from pathlib import Path

import minibert as mb
from minibert.attribution import explain
from minibert.evaluation.counterfactual import counterfactual
from minibert.evaluation.examine import examine
from minibert.evaluation.in_words import in_words
from minibert.evaluation.swaps import swap_of

GOOD, BAD = ("wonderful", "clever", "warm"), ("dull", "empty", "tedious")
NOUNS = ("film", "story", "cast", "plot")


def reviews() -> list[mb.TextExample]:
    """Return reviews whose last word tells the label, or, where it is "long", who wrote them."""
    rows = [
        mb.TextExample(f"{who} finds the {noun} {word}", label=label)
        for label, words in (("good", GOOD), ("bad", BAD))
        for who, noun, word in itertools.product(("he", "she"), NOUNS, words)
    ]
    long = {"she": "good", "he": "bad"}
    return rows + [
        mb.TextExample(f"{who} finds the {noun} long", label=long[who]) for who in long for noun in NOUNS
    ]


rows = reviews()
with tempfile.TemporaryDirectory() as folder:
    model = mb.finetune(
        sys.argv[1],
        task="classification",
        train=rows,
        output_dir=Path(folder) / "clf",
        settings={"train.num_train_epochs": 40, "train.learning_rate": 2e-3, "train.train_batch_size": 8},
    )

print(in_words(examine(model, rows, train=rows)))

found = explain(model, "he finds the story long").by_words()
print(f"{found.label}: log-odds {found.value:+.2f}, of a text that says nothing {found.nothing:+.2f}")
for piece in found.pieces:
    if piece.text:
        print(f"  {piece.score:+.3f}  {piece.text}")

told = counterfactual(model, rows, swap_of("genders"))
print(f"the answer changes in {told.changed} of {told.with_words} texts when he and she change places")
for label, mean in told.shift.items():
    print(f"  p({label}) moves by {mean:+.3f} from he to she")
