"""Say which words an answer hangs on, and whether it hangs on words that should not matter.

python examples/explain_a_prediction.py runs/enc

A classifier is trained on a few made-up reviews in which, by bad luck, most women like the film. Integrated
gradients show which words its answer hangs on; exchanging he and she shows whether it has learnt prejudice.
"""

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
    """Return reviews by women, who mostly like what they see, and by men, who mostly do not."""
    rows = []
    for number, noun in enumerate(NOUNS * 6):
        good, usual = number % 2 == 0, number % 8 < 6
        who = "she" if good == usual else "he"
        word = (GOOD if good else BAD)[number % 3]
        rows.append(mb.TextExample(f"{who} finds the {noun} {word}", label="good" if good else "bad"))
    return rows


rows = reviews()
with tempfile.TemporaryDirectory() as folder:
    model = mb.finetune(
        sys.argv[1],
        task="classification",
        train=rows,
        output_dir=Path(folder) / "clf",
        settings={"train.num_train_epochs": 20, "train.learning_rate": 2e-3, "data.progress": False},
    )

print(in_words(examine(model, rows, train=rows)))

found = explain(model, "she finds the story dull")
print(f"{found.label}: log-odds {found.value:+.2f}, of a text that says nothing {found.nothing:+.2f}")
for piece in found.pieces:
    if piece.text:
        print(f"  {piece.score:+.3f}  {piece.text}")

told = counterfactual(model, rows, swap_of("genders"))
print(f"the answer changes in {told.changed} of {told.with_words} texts when he and she change places")
for label, mean in told.shift.items():
    print(f"  p({label}) moves by {mean:+.3f} from he to she")
