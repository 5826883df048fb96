"""Summarise documents by the sentence that says most: trained on docstrings, whose first sentence does so.

python examples/summarise.py runs/enc

By PEP 257 the first sentence of a docstring sums it up. Here it is put somewhere among the others, and the
model has to find it; for documents of your own, give `minibert finetune --task extractive_summary` a table
with the columns document and summary.
"""

import random
import sys
import sysconfig
import tempfile
from pathlib import Path

import minibert as mb
from minibert.data.examples import SummaryExample
from minibert.demo.docstrings import collect
from minibert.demo.sources import standard_library
from minibert.text.sentences import sentence_spans

library = list(standard_library(Path(sysconfig.get_paths()["stdlib"])))[:200]
draw, stories = random.Random(0), []
for document in collect(library).documents:
    paragraphs = [" ".join(part.split()) for part in document.text.split("\n\n")]
    text = " ".join(part if part[-1:] in ".!?:" else f"{part}." for part in paragraphs)
    sentences = [text[start:end] for start, end in sentence_spans(text)]
    if 4 <= len(sentences) <= 8 and len(text) < 600:
        summary = sentences[0]
        draw.shuffle(sentences)
        stories.append(SummaryExample(" ".join(sentences), summary))
draw.shuffle(stories)
train, held = stories[60:], stories[:60]

settings = {
    "train.num_train_epochs": 6,
    "train.learning_rate": 1e-3,
    "task.num_sentences": 1,
    "data.progress": False,
}
with tempfile.TemporaryDirectory() as folder:
    output = Path(folder) / "summaries"
    model = mb.finetune(
        sys.argv[1], task="extractive_summary", train=train, output_dir=output, settings=settings
    )

answers = model.predict(held)
found = sum(answer.summary == story.summary for answer, story in zip(answers, held, strict=True))
first = sum(story.text.startswith(str(story.summary)) for story in held)
print(f"of {len(held)} summaries {found} are found; {first} stand first")
for sentence in answers[0].sentences:
    chosen = "->" if sentence.chosen else "  "
    print(f"{chosen} {sentence.score:.3f}  {held[0].text[sentence.start : sentence.end]}")
