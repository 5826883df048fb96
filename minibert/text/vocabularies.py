"""The files of other people's tokenizers: which of them a folder has, and what its control tokens are called.

A `tokenizer.json` is complete, but for what its class makes of it (`tokenizer_classes`). Older folders have
only a vocabulary, and what happens before it is BERT's (`vocab.txt`: clean, split at white space, punctuation
and ideographs, WordPiece) or RoBERTa's (`vocab.json` and `merges.txt`: BPE over bytes); what was added later
lies in another file (`added_tokens`). A SentencePiece model alone is refused with the line that converts it.
"""

import json
from collections.abc import Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

from minibert.errors import InputError, MissingExtra
from minibert.text.added_tokens import Added, add_tokens, read_added
from minibert.text.tokenizer import SETTINGS_FILE
from minibert.text.tokenizer_classes import bert_ends, class_kind, follow_class, roberta_ends

NAMES = {  # of each control token, where no file says it, the first that the vocabulary has
    "pad": ("[PAD]", "<pad>"),
    "unk": ("[UNK]", "<unk>"),
    "cls": ("[CLS]", "<s>"),
    "sep": ("[SEP]", "</s>"),
    "mask": ("[MASK]", "<mask>"),
}


def has_tokenizer(folder: Path) -> bool:
    """Tell whether a folder holds a tokenizer that this module can open, or can say how to convert."""
    names = ("tokenizer.json", "vocab.txt", "vocab.json", "sentencepiece.bpe.model")
    return any((folder / name).is_file() for name in names)


def open_engine(folder: Path, settings: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
    """Open a folder's tokenizer as a `tokenizers.Tokenizer`; return it with the settings and special names.

    Raises MissingExtra without the package, InputError for files that are missing or damaged.
    """
    try:
        library = import_module("tokenizers")
    except ImportError:
        raise MissingExtra(
            f"{folder}: this tokenizer needs `tokenizers`: pip install 'minibert-encoder[huggingface]'"
        ) from None
    found = _named(folder, settings)
    path = next(
        (
            folder / name
            for name in ("tokenizer.json", "vocab.txt", "vocab.json")
            if (folder / name).is_file()
        ),
        None,
    )
    if path is None:
        raise InputError(
            f"{folder} has a SentencePiece model and no tokenizer.json; make one with transformers: "
            f"AutoTokenizer.from_pretrained({str(folder)!r}).save_pretrained({str(folder)!r})"
        )
    try:
        if path.name == "tokenizer.json":
            return _complete(library, path, found), found
        added = read_added(folder, found)
        if path.name == "vocab.txt":
            return _wordpiece(library, path, found, added), found
        return _byte_bpe(library, folder, found, added), found
    except InputError as error:
        raise InputError(f"{folder}: {error}") from error
    except Exception as error:
        raise InputError(f"{path}: damaged or not a tokenizer: {error}") from error


def special_tokens(settings: Mapping[str, Any], vocabulary: Mapping[str, int]) -> dict[str, str]:
    """Return the name of each control token; raises InputError where the vocabulary does not have it."""
    chosen, missing = {}, []
    for kind, usual in NAMES.items():
        given = settings.get(f"{kind}_token")
        names = [given] if isinstance(given, str) else usual
        chosen[kind] = next((name for name in names if name in vocabulary), "")
        if not chosen[kind]:
            missing.append(f"{kind}_token {' or '.join(names)}")
    if missing:
        raise InputError(f"the vocabulary has no {', no '.join(missing)}; name them in {SETTINGS_FILE}")
    return chosen


def _named(folder: Path, settings: dict[str, Any]) -> dict[str, Any]:
    """Return the settings with the names of the control tokens as text, from whichever file has them."""
    path = folder / "special_tokens_map.json"
    found = dict(settings)
    for file, values in ((path, _read_object(path)), (folder / SETTINGS_FILE, settings)):
        for key, value in values.items():
            name = _text(value)
            if name is not None and key.endswith("_token"):
                found[key] = name
            elif value is not None and key in (f"{kind}_token" for kind in NAMES):
                raise InputError(f"{file}: {key} is {value!r:.60}; the letters of a token are wanted")
    return found


def _text(token: Any) -> str | None:
    """Return a control token's name, which some files wrap into an object."""
    content = token.get("content") if isinstance(token, dict) else token
    return content if isinstance(content, str) else None


def _read_object(path: Path) -> dict[str, Any]:
    if not path.is_file():
        return {}
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(f"{path} cannot be read as JSON: {error}") from error
    return values if isinstance(values, dict) else {}


def _complete(library: Any, path: Path, settings: Mapping[str, Any]) -> Any:
    """Open a tokenizer.json, and follow the settings beside it where its class does."""
    engine = library.Tokenizer.from_file(str(path))
    kind = class_kind(engine, _read_object(path.parent / "config.json"), settings)
    if kind:
        names = special_tokens(settings, engine.get_vocab(with_added_tokens=True))
        follow_class(library, engine, kind, settings=settings, names=names)
    return engine


def _wordpiece(library: Any, path: Path, settings: Mapping[str, Any], added: Sequence[Added]) -> Any:
    """Build BERT's tokenizer from the list of its pieces, read as the library reads it."""
    vocabulary = library.models.WordPiece.read_file(str(path))
    names = special_tokens(settings, {**{one.content: one.number for one in added}, **vocabulary})
    if names["unk"] not in vocabulary:
        raise InputError(
            f"unk_token {names['unk']} is not in {path.name}; add it there, in the place of its id"
        )
    engine = library.Tokenizer(library.models.WordPiece(vocabulary, unk_token=names["unk"]))
    engine.normalizer = library.normalizers.BertNormalizer(
        clean_text=True,
        handle_chinese_chars=settings.get("tokenize_chinese_chars", True),
        strip_accents=settings.get("strip_accents"),
        lowercase=settings.get("do_lower_case", True),
    )
    engine.pre_tokenizer = library.pre_tokenizers.BertPreTokenizer()
    engine.decoder = library.decoders.WordPiece()
    add_tokens(library, engine, added, names.values())
    engine.post_processor = bert_ends(library, engine, names)
    return engine


def _byte_bpe(library: Any, folder: Path, settings: Mapping[str, Any], added: Sequence[Added]) -> Any:
    """Build RoBERTa's tokenizer from its vocabulary and the list of its merges."""
    prefix = bool(settings.get("add_prefix_space", False))
    model = library.models.BPE.from_file(str(folder / "vocab.json"), str(folder / "merges.txt"))
    engine = library.Tokenizer(model)
    names = special_tokens(settings, {**{one.content: one.number for one in added}, **engine.get_vocab()})
    engine.pre_tokenizer = library.pre_tokenizers.ByteLevel(add_prefix_space=prefix)
    engine.decoder = library.decoders.ByteLevel()
    add_tokens(library, engine, added, names.values())
    engine.post_processor = roberta_ends(library, engine, names, prefix=prefix)
    return engine
