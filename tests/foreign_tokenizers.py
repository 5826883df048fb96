"""Small tokenizers of other people's kinds, learnt here and saved as their checkpoints have them."""

import json
import pydoc_data.topics
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

import tokenizers
from tokenizers import decoders, models, normalizers, pre_tokenizers, processors, trainers

BERT = {"pad": "[PAD]", "unk": "[UNK]", "cls": "[CLS]", "sep": "[SEP]", "mask": "[MASK]"}
ROBERTA = {"cls": "<s>", "pad": "<pad>", "sep": "</s>", "unk": "<unk>", "mask": "<mask>"}
CHINESE = ["渡船早上七点离开港口，天黑以前回来。", "老师教阅读、写字和星星的名字。"]
SIZE = 900


def texts() -> list[str]:
    """Return the English of Python's own help, and a little Chinese."""
    return [*list(pydoc_data.topics.topics.values())[:40], *CHINESE * 20]


def save(engine: Any, folder: Path, names: dict[str, str], **settings: Any) -> Path:
    """Write tokenizer.json and tokenizer_config.json."""
    folder.mkdir(parents=True, exist_ok=True)
    engine.save(str(folder / "tokenizer.json"))
    tokens = {f"{kind}_token": name for kind, name in names.items()}
    values = {"tokenizer_class": "PreTrainedTokenizerFast", "model_max_length": 512, **tokens, **settings}
    (folder / "tokenizer_config.json").write_text(json.dumps(values), encoding="utf-8")
    return folder


def wordpiece(folder: Path) -> Path:
    """Learn BERT's kind: lower case, accents dropped, ## inside words."""
    engine = tokenizers.Tokenizer(models.WordPiece(unk_token="[UNK]"))
    engine.normalizer = normalizers.BertNormalizer(lowercase=True)
    engine.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    engine.decoder = decoders.WordPiece()
    trainer = trainers.WordPieceTrainer(vocab_size=SIZE, special_tokens=list(BERT.values()))
    engine.train_from_iterator(texts(), trainer)
    sep, cls = (("[SEP]", engine.token_to_id("[SEP]")), ("[CLS]", engine.token_to_id("[CLS]")))
    engine.post_processor = processors.BertProcessing(sep, cls)
    return save(engine, folder, BERT)


def byte_bpe(folder: Path) -> Path:
    """Learn RoBERTa's kind: BPE over bytes, a space shown as a letter, two </s> inside a pair."""
    engine = tokenizers.Tokenizer(models.BPE())
    engine.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    engine.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=SIZE,
        special_tokens=list(ROBERTA.values()),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
    )
    engine.train_from_iterator(texts(), trainer)
    sep, cls = (("</s>", engine.token_to_id("</s>")), ("<s>", engine.token_to_id("<s>")))
    engine.post_processor = processors.RobertaProcessing(sep, cls, trim_offsets=True, add_prefix_space=False)
    engine.add_special_tokens([tokenizers.AddedToken("<mask>", lstrip=True)])
    return save(engine, folder, ROBERTA)


def modern_bpe(folder: Path) -> Path:
    """Learn ModernBERT's kind: BPE over bytes with BERT's control tokens, and spans that hold the space."""
    engine = tokenizers.Tokenizer(models.BPE(unk_token="[UNK]"))
    engine.normalizer = normalizers.NFC()
    engine.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    engine.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=SIZE,
        special_tokens=list(BERT.values()),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
    )
    engine.train_from_iterator(texts(), trainer)
    engine.post_processor = _template(engine, "[CLS]", "[SEP]")
    return save(engine, folder, BERT)


def unigram(folder: Path) -> Path:
    """Learn XLM-RoBERTa's kind: Unigram over NFKC text, a mark for each space."""
    engine = tokenizers.Tokenizer(models.Unigram())
    engine.normalizer = normalizers.Sequence([normalizers.NFKC(), normalizers.Replace(" {2,}", " ")])
    engine.pre_tokenizer = pre_tokenizers.Metaspace()
    engine.decoder = decoders.Metaspace()
    trainer = trainers.UnigramTrainer(
        vocab_size=SIZE, special_tokens=list(ROBERTA.values()), unk_token="<unk>", shrinking_factor=0.6
    )
    engine.train_from_iterator(texts(), trainer)
    engine.post_processor = _template(engine, "<s>", "</s>", double=True)
    return save(engine, folder, ROBERTA)


def _template(engine: Any, cls: str, sep: str, *, double: bool = False) -> Any:
    middle, second = (f"{sep} {sep}", 0) if double else (sep, 1)
    return processors.TemplateProcessing(
        single=f"{cls} $A {sep}",
        pair=f"{cls} $A {middle} $B:{second} {sep}:{second}",
        special_tokens=[(name, engine.token_to_id(name)) for name in (cls, sep)],
    )


KINDS: dict[str, Callable[[Path], Path]] = {
    "wordpiece": wordpiece,
    "byte_bpe": byte_bpe,
    "modern_bpe": modern_bpe,
    "unigram": unigram,
}


def roberta(folder: Path) -> Path:
    """Save RoBERTa's kind as the class RobertaTokenizer of transformers writes it."""
    learnt = byte_bpe(folder / "learnt")
    model = json.loads((learnt / "tokenizer.json").read_text("utf-8"))["model"]
    made = import_module("transformers").RobertaTokenizer(model["vocab"], [*map(tuple, model["merges"])])
    made.save_pretrained(folder)
    return folder


def roberta_files(folder: Path) -> Path:
    """Save RoBERTa's kind as older folders have it: a list of pieces, a list of merges, a class."""
    learnt = byte_bpe(folder / "learnt")
    model = json.loads((learnt / "tokenizer.json").read_text("utf-8"))["model"]
    (folder / "vocab.json").write_text(json.dumps(model["vocab"]), "utf-8")
    merges = "\n".join(map(" ".join, model["merges"]))
    (folder / "merges.txt").write_text(f"#version: 0.2\n{merges}\n", "utf-8")
    settings = {"tokenizer_class": "RobertaTokenizer", "model_max_length": 512}
    (folder / "tokenizer_config.json").write_text(json.dumps(settings), "utf-8")
    return folder


def xlm_roberta(folder: Path) -> Path:
    """Learn a model of SentencePiece, and save it as the class XLMRobertaTokenizer of transformers does."""
    learnt = folder / "learnt"
    learnt.mkdir(parents=True)
    import_module("sentencepiece").SentencePieceTrainer.train(
        sentence_iterator=(line for text in texts() for line in text.splitlines()),
        model_prefix=str(learnt / "sentencepiece.bpe"),
        vocab_size=SIZE,
        minloglevel=2,
    )
    made = import_module("transformers").XLMRobertaTokenizer.from_pretrained(learnt)
    made.save_pretrained(folder)
    return folder


CLASSES: dict[str, Callable[[Path], Path]] = {  # these need transformers
    "RobertaTokenizer": roberta,
    "RobertaTokenizer, vocab.json": roberta_files,
    "XLMRobertaTokenizer": xlm_roberta,
}
