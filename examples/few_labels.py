"""Few labels, or none, on a made-up language: half a minute, no data needed.

A small model reads sentences such as "the soup smells hot. we call it food." Afterwards it is asked for
labels that nobody has given it, learns from two texts of each, and makes more of them.

python examples/few_labels.py runs/few-labels
"""

import sys
from pathlib import Path

import minibert as mb
from minibert.few_labels.augment import Replacing, augment

folder = Path(sys.argv[1])
folder.mkdir(parents=True, exist_ok=True)
NOUNS = {"soup": "food", "bread": "food", "fish": "food", "hammer": "tool", "spade": "tool", "drill": "tool"}
VERBS = ("smells", "looks", "feels", "seems")
WORDS = ("hot", "old", "new", "small", "good")
GAP = "{text}. we call it [MASK]."
told = [f"the {noun} {verb} {word}" for noun in NOUNS for verb in VERBS for word in WORDS]
kinds = [NOUNS[text.split()[1]] for text in told]

corpus = folder / "corpus.txt"
lines = [f"{text}. we call it {kind}." for text, kind in zip(told, kinds, strict=True)]
corpus.write_text("\n\n".join(lines * 3) + "\n", encoding="utf-8")
shape = {"hidden_size": 32, "intermediate_size": 64, "initializer_range": 0.15, "hidden_dropout_prob": 0.0}
settings = {
    "tokenizer": {"vocab_size": 360, "model_type": "bpe"},
    "data": {"tokens_per_batch": 512, "progress": False},
    "masking": {"mlm_probability": 0.3},
    "model": {**shape, "attention_probs_dropout_prob": 0.0},
    "train": {"max_steps": 300, "learning_rate": 5e-3, "precision": "fp32"},
}
model = mb.pretrain([corpus], folder / "enc", size="tiny", settings=settings, overwrite_output_dir=True)

print("no label at all:")
for answer in mb.zero_shot(
    model, ["the fish looks old", "the drill smells good"], labels="food,tool", template=GAP
):
    print("  ", answer.label, {label: round(p, 3) for label, p in answer.probabilities.items()})

print("two texts of each, three draws:")
rows = [mb.TextExample(text, label=kind) for text, kind in zip(told, kinds, strict=True)]
settings = {"task.template": GAP, "train.max_steps": 20, "train.learning_rate": 1e-3}
trials = mb.few_shot(folder / "enc", rows, rows, per_class=(2,), draws=3, settings=settings, progress=False)
for trial in trials:
    print(f"   {trial.method:<12} draw {trial.draw}  accuracy {trial.accuracy:.3f}")

print("more rows:")
how = Replacing(copies=3, share=0.5, top_k=5, template=GAP)
for copies in augment(
    model, ["the soup smells hot", "the spade feels old"], labels=["food", "tool"], how=how
):
    print("  ", copies)
