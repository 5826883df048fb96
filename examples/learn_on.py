"""Learn three groups of requests one after the other, and see what becomes of the earlier ones.

python examples/learn_on.py runs/enc runs/learnt
"""

import sys

from minibert.data.examples import TextExample
from minibert.further.learn_on import learn_on

encoder, output_dir = sys.argv[1:3]
HOME = {
    "light": ["turn the lamp on", "make it bright here", "switch off the light", "dim the lamp a bit"],
    "music": ["play a song", "stop this music", "next song please", "play something quiet"],
}
TRAVEL = {
    "train": ["when does the train leave", "a ticket for the train", "is the train late", "which platform"],
    "hotel": ["book a room for two", "is breakfast in the hotel", "a hotel near the sea", "leave the room"],
}
MONEY = {
    "balance": ["how much money have I", "what is on my account", "tell me my balance", "am I rich"],
    "payment": ["pay the bill", "send money to Anna", "transfer ten pounds", "pay my rent today"],
}


def rows(group: dict[str, list[str]]) -> list[TextExample]:
    return [TextExample(text, label=label) for label, texts in group.items() for text in texts]


parts = [rows(group) for group in (HOME, TRAVEL, MONEY)]
for method in ("plain", "replay", "ewc", "distill", "adapters"):
    model, found = learn_on(
        encoder,
        train=parts,
        validation=parts,  # so few rows have none to spare; yours should
        output_dir=f"{output_dir}/{method}",
        settings={
            "learn.method": method,
            "train.max_steps": 40,
            "train.learning_rate": 2e-3,
            "task.pooling": "mean",
            "data.progress": False,
        },
    )
    print(f"{method}: average accuracy {found.average:.2f}, forgotten {found.forgetting:.2f}")
    print(found.table())
print(model.predict(["play the next song"])[0].label)
