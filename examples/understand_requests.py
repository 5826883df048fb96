"""Tell what a request wants and which of its words say so: one encoder, two heads.

python examples/understand_requests.py runs/enc

The requests it learns from are made up; a file of {"tokens", "tags", "intent"} rows is read the same way.
"""

import itertools
import sys
import tempfile
from pathlib import Path

import minibert as mb
from minibert.data.tagged import from_words

TEMPLATES = {
    "PlayMusic": ("play some {genre} by {artist}", "please play {artist}"),
    "GetWeather": ("will it rain in {city}", "what is the weather in {city}"),
}
SLOTS = {
    "genre": ("jazz", "rock", "soul"),
    "artist": ("Nina Simone", "Miles Davis", "Prince"),
    "city": ("Paris", "New York", "Oslo"),
}


def made_up():
    """Return requests in which every slot has been filled with everything that fits."""
    requests = []
    for intent, templates in TEMPLATES.items():
        for template in templates:
            slots = [name for name in SLOTS if "{" + name + "}" in template]
            for values in itertools.product(*(SLOTS[name] for name in slots)):
                words, tags = [], []
                for word in template.split():
                    name = word.strip("{}")
                    filled = values[slots.index(name)].split() if name in slots else [word]
                    words += filled
                    tags += [f"B-{name}", f"I-{name}"][: len(filled)] if name in slots else ["O"]
                tagged = from_words(words, tags)
                requests.append(mb.IntentExample(tagged.text, tagged.spans, tagged.tags, intent))
    return requests


settings = {"train.max_steps": 100, "train.learning_rate": 3e-3, "data.progress": False}
with tempfile.TemporaryDirectory() as folder:
    model = mb.finetune(
        sys.argv[1],
        task="intent_slots",
        train=made_up(),
        output_dir=Path(folder) / "requests",
        settings=settings,
    )
for text in ("please play Nina Simone", "will it rain in New York"):
    answer = model.predict([text])[0]
    slots = ", ".join(f"{slot.label} = {slot.text}" for slot in answer.slots)
    print(f"{text}: {answer.intent} ({slots})")
