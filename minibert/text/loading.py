"""Reopening a saved tokenizer of any kind: the one place that knows which kinds there are."""

import json
from pathlib import Path

from minibert.errors import InputError
from minibert.text.hugging_face import HuggingFaceTokenizer
from minibert.text.sentencepiece import MODEL_FILE, SentencePieceTokenizer
from minibert.text.tokenizer import SETTINGS_FILE, Tokenizer
from minibert.text.vocabularies import has_tokenizer

_OPENERS = {"sentencepiece": SentencePieceTokenizer.open, "tokenizers": HuggingFaceTokenizer.open}


def load_tokenizer(folder: str | Path) -> Tokenizer:
    """Open the tokenizer that `save` wrote into a folder, or that of somebody else's checkpoint.

    Raises InputError if a file is missing or damaged, or the kind is unknown.

    >>> tokenizer.save(Path("my-model"))
    >>> load_tokenizer("my-model").decode(tokenizer.encode("The cat sat.").ids)
    'The cat sat.'
    """
    path = Path(folder) / SETTINGS_FILE
    foreign = has_tokenizer(Path(folder))
    if foreign and not path.exists():
        return HuggingFaceTokenizer.open(Path(folder), {})
    try:
        settings = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError(
            f"no tokenizer in {folder}: {path} is missing; give a folder made by save()"
        ) from None
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(f"{path} cannot be read as JSON: {error}") from error
    if not isinstance(settings, dict):
        raise InputError(f"{path} holds {settings!r}; a JSON object with the key 'kind' is wanted")
    kind = settings.pop("kind", "tokenizers" if foreign else None)
    if not isinstance(kind, str) or kind not in _OPENERS:
        raise InputError(f"{path}: kind {kind!r} is unknown; known kinds: {', '.join(_OPENERS)}")
    if kind == "sentencepiece" and foreign and not (Path(folder) / MODEL_FILE).is_file():
        kind = "tokenizers"  # another tool saved it again: tokenizer.json alone went along
    return _OPENERS[kind](Path(folder), settings)
