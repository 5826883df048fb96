"""What comes next in a talk? Choose the reply among those that there are, or write one.

    python examples/choose_a_reply.py ENCODER OUTPUT

The dialogues are made up and kept as rows of {"turns": [...]} in OUTPUT; one file teaches both models, the
one that chooses (retrieval) and the one that writes (seq2seq).
"""

import itertools
import json
import sys
from pathlib import Path

import minibert as mb

folder, output = Path(sys.argv[1]), Path(sys.argv[2])
output.mkdir(parents=True, exist_ok=True)
DRINKS = {"tea": "With milk?", "coffee": "With sugar?", "water": "With ice?"}
PLACES = {"I stay here.": "Please take a seat.", "I take it to go.": "Here is your cup."}
talks = [
    [
        "Good day.",
        "What can I bring you?",
        f"A {drink}, please.",
        more,
        "Yes.",
        "To stay or to go?",
        where,
        end,
    ]
    for (drink, more), (where, end) in itertools.product(DRINKS.items(), PLACES.items())
]
file = output / "talks.jsonl"
file.write_text("".join(json.dumps({"turns": turns}) + "\n" for turns in talks), encoding="utf-8")

settings = {"train.learning_rate": 3e-3, "train.train_batch_size": 16, "data.progress": False}
chosen = {**settings, "train.max_steps": 200}
mb.finetune(folder, task="retrieval", train=file, output_dir=output / "chooser", settings=chosen)
# A decoder begins from nothing anyhow; with a size in the place of the folder, so do encoder and vocabulary.
written = {**settings, "train.max_steps": 160, "data.vocab_size": 300, "task.label_smoothing": 0.0}
writer = mb.finetune(
    "modern-tiny", task="seq2seq", train=file, output_dir=output / "writer", settings=written
)

encoder = mb.load_encoder(output / "chooser")
for said in (
    ["Good evening.", "What can I bring you?", "A coffee, please."],
    ["Yes.", "To stay or to go?", "I take it to go."],
):
    replies = sorted({turn for turns in talks for turn in turns[1:]} - set(said))
    context = "\n".join(said[-3:])  # as many turns as a row of dialogues gives
    cosines = encoder.embed(replies, progress=False) @ encoder.embed([context], progress=False)[0]
    best = sorted(zip(cosines.tolist(), replies, strict=True), reverse=True)[:3]
    print(f"{said[-1]}  written: {writer.predict([context])[0].target}")
    for cosine, reply in best:
        print(f"    {cosine:.2f}  {reply}")
