"""Find texts by meaning: train on pairs, build an index, search it, and see what each way finds.

    python examples/search_texts.py ENCODER OUTPUT

The encoder is a folder of `minibert pretrain` or of Hugging Face's; two rounds are trained, the second with
the wrong answers that the first took for right ones. For texts of your own, give `minibert finetune
--task retrieval` a table with the columns anchor and positive.
"""

import sys
from pathlib import Path

import minibert as mb
from minibert.data.examples import SearchExample
from minibert.embedding.bm25 import BM25
from minibert.embedding.hard_negatives import mine_hard_negatives
from minibert.embedding.index import build_index

ANSWERS = {
    "How do I reset my password?": "Open the account page and choose a new one.",
    "Where is my parcel?": "Each order has a number with which you can follow it.",
    "Can I send something back?": "Goods may be returned within thirty days.",
    "When are you open?": "Our shops open at nine and close at six.",
    "Do you ship abroad?": "We deliver to every country of the union.",
    "How can I pay?": "We take cards, bank transfers and cash.",
}
NEW = "How can I return goods?"

folder, output = Path(sys.argv[1]), Path(sys.argv[2])
pairs = [SearchExample(question, answer) for question, answer in ANSWERS.items()]
settings = {"train.max_steps": 20, "train.learning_rate": 1e-3, "data.progress": False}

mb.finetune(folder, task="retrieval", train=pairs, output_dir=output / "first", settings=settings)
encoder = mb.load_encoder(output / "first")
harder = mine_hard_negatives(encoder, pairs, negatives=1, margin=0.0)
print("taken for right by the first round:", sum(len(pair.negatives) for pair in harder))
mb.finetune(output / "first", task="retrieval", train=harder, output_dir=output / "second", settings=settings)

encoder = mb.load_encoder(output / "second")
index = build_index(encoder, ANSWERS.values(), output / "index")
for question in (*ANSWERS, NEW):
    [[hit]] = index.search(encoder.embed([question], progress=False), top_k=1)
    print(f"{question:30} {hit.score:.2f}  {hit.text}")

words = BM25(ANSWERS.values())
print("by words alone:", [list(ANSWERS.values())[number] for number, _ in words.search(NEW, top_k=1)])
