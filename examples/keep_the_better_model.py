"""New rows come in every week: train the model further, and serve the new one only if it is better.

python examples/keep_the_better_model.py runs/enc runs/weekly

The requests are made up, and asked in words that the first week does not know. In the third week somebody has
mixed up the labels. Rows that nobody trains on, the kept ones, decide; update.json says why.
"""

import itertools
import sys

import minibert as mb
from minibert.further.update import update

OBJECTS = ("lamp", "radio", "heating", "oven", "fan", "printer", "light", "music", "heater", "tap")
KEPT = ("kettle", "pump", "stove", "toaster", "screen", "boiler", "mixer", "bell", "drill", "saw")
WORDS = {
    "on": (("turn on the {}", "switch the {} on"), ("start the {}", "I want the {} to run")),
    "off": (("turn off the {}", "switch the {} off"), ("stop the {}", "I want the {} to rest")),
}


def rows(*weeks: int, things: tuple[str, ...] = OBJECTS, mixed_up: bool = False) -> list[mb.TextExample]:
    """Return the requests of some weeks, each with every thing."""
    other = {"on": "off", "off": "on"}
    return [
        mb.TextExample(words.format(thing), label=other[label] if mixed_up else label)
        for label, by_week in WORDS.items()
        for week in weeks
        for words, thing in itertools.product(by_week[week], things)
    ]


encoder, output_dir = sys.argv[1:3]
settings = {"train.max_steps": 150, "train.learning_rate": 5e-3, "data.progress": False}
kept = rows(0, 1, things=KEPT)
served = f"{output_dir}/week-1"
first = {**settings, "task.pooling": "mean"}
model = mb.finetune(encoder, task="classification", train=rows(0), output_dir=served, settings=first)
print(f"week 1: accuracy {model.evaluate(kept)['accuracy']:.2f} on the kept rows")

weeks = {2: rows(0, 1), 3: rows(0, 1, mixed_up=True)}
for week, train in weeks.items():
    found = update(served, train=train, kept=kept, output_dir=f"{output_dir}/week-{week}", settings=settings)
    served = f"{output_dir}/week-{week}"  # the better of both is in there
    accuracy = found.model.evaluate(kept)["accuracy"]
    print(
        f"week {week}: {'taken' if found.accepted else 'refused'}; accuracy {accuracy:.2f} ({found.reason})"
    )
