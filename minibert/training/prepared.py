"""What a pretraining run begins with: a vocabulary and a tokenized corpus, made once and then found."""

from collections.abc import Iterable, Sequence
from pathlib import Path

from minibert.checkpoint import published
from minibert.data.corpus import Corpus
from minibert.data.readers import read_documents
from minibert.data.shared_corpus import build_together
from minibert.distributed.ranks import Ranks
from minibert.text.loading import load_tokenizer
from minibert.text.sentencepiece import train_sentencepiece
from minibert.text.tokenizer import Tokenizer
from minibert.training.pretraining import Settings, TokenizerOptions


def find_tokenizer(
    files: Sequence[Path], folder: str | Path | None, output: Path, *, settings: Settings
) -> Tokenizer:
    """Open the tokenizer in `folder`, or the one of an earlier start, or train one on the corpus."""
    if folder is not None:
        return load_tokenizer(folder)
    place = output / "tokenizer"
    if place.exists():
        return load_tokenizer(place)
    documents = read_documents(files, text_column=settings.data.text_column)
    tokenizer = learn_vocabulary(documents, settings.tokenizer)
    with published(place) as folder:
        tokenizer.save(folder)
    return tokenizer


def learn_vocabulary(documents: Iterable[str], options: TokenizerOptions) -> Tokenizer:
    """Train a tokenizer; raises InputError where the documents do not fill its vocabulary."""
    return train_sentencepiece(
        documents,
        options.vocab_size,
        model_type=options.model_type,
        lowercase=options.lowercase,
        cjk_characters=options.cjk_characters,
    )


def tokenized(files: Sequence[Path], pieces: Tokenizer, output: Path, *, settings: Settings) -> Corpus:
    """Return the tokenized corpus, made now by all processes or found where an earlier start left it."""
    data, ranks = settings.data, Ranks.here()
    return build_together(
        files,
        pieces,
        output / "corpus",
        ranks,
        workers=data.workers or None,
        text_column=data.text_column,
        progress=data.progress,
    )
