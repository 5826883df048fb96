"""Small files and small models for tests of whole commands; nothing worth knowing is in them."""

import json
from pathlib import Path

import torch

from minibert.model.config import EncoderConfig
from minibert.model.encoder import Encoder
from minibert.tasks.masked_lm import MaskedLM
from minibert.tasks.model import Model
from minibert.text.sentencepiece import train_sentencepiece

NOUNS = "cat dog list tree house river stone bird cloud road".split()
VERBS = "sees finds holds takes moves keeps".split()
CLASSES = {"cat": "animal", "dog": "animal", "stone": "thing", "road": "thing"}
PASSAGE = "The cat sees the dog.\nThe bird holds the stone."
VOCABULARY = 310


def sentence(number: int) -> str:
    """Return the sentence with this number; neighbours differ."""
    first, verb, second = NOUNS[number % 10], VERBS[number // 3 % 6], NOUNS[number * 7 % 10]
    return f"The {first} {verb} the {second} of {number % 97}."


def write_corpus(path: Path, documents: int = 80) -> Path:
    """Write documents of two sentences, parted by empty lines."""
    texts = [f"{sentence(2 * i)}\n{sentence(2 * i + 1)}\n" for i in range(documents)]
    path.write_text("\n".join(texts), encoding="utf-8")
    return path


def write_table(path: Path, rows: int = 16) -> Path:
    """Write a .csv of texts of two classes."""
    words = list(CLASSES) * rows
    lines = [f"the {word} {VERBS[i % 6]},{CLASSES[word]}" for i, word in enumerate(words[:rows])]
    path.write_text("text,label\n" + "\n".join(lines) + "\n", encoding="utf-8")
    return path


def write_columns(path: Path, sentences: int = 6) -> Path:
    """Write sentences in CoNLL columns, with people and places."""
    block = "Anna B-PER\nlives O\nin O\nParis B-LOC\n\nBob B-PER\nSmith I-PER\nsees O\nRome B-LOC\n\n"
    path.write_text(block * (sentences // 2), encoding="utf-8")
    return path


def write_questions(path: Path, *, answered: bool = True) -> Path:
    """Write questions about PASSAGE in SQuAD's form; the third and the sixth have no answer."""
    rows = []
    asked = [("Who sees the dog?", "The cat"), ("Who holds the stone?", "The bird"), ("Who takes it?", "")]
    for number, (question, answer) in enumerate(asked * 2):
        golds = [{"text": answer, "answer_start": PASSAGE.find(answer)}] if answer else []
        beside = {"answers": golds, "is_impossible": not golds} if answered else {}
        rows.append({"id": f"q{number}", "question": question, **beside})
    data = [{"title": "Animals", "paragraphs": [{"context": PASSAGE, "qas": rows}]}]
    path.write_text(json.dumps({"version": "v2.0", "data": data}), "utf-8")
    return path


def make_encoder(folder: Path, vocabulary: int = VOCABULARY, *, layers: int = 1) -> Path:
    """Save an encoder that has learnt nothing, with a tokenizer of its own."""
    tokenizer = train_sentencepiece([sentence(number) for number in range(200)], vocabulary)
    config = EncoderConfig(
        vocabulary,
        hidden_size=32,
        num_hidden_layers=layers,
        num_attention_heads=2,
        intermediate_size=64,
        max_position_embeddings=64,
    )
    torch.manual_seed(0)
    Model(Encoder(config), MaskedLM(tokenizer, config)).save(folder)
    return folder


def last_line(text: str) -> dict:
    """Read the JSON object on the last line."""
    return json.loads(text.strip().splitlines()[-1])
