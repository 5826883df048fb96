"""What the tokenizer classes of `transformers` do beyond a `tokenizer.json`: the settings beside it decide.

Its BertTokenizer and RobertaTokenizer make their steps anew from the keys of tokenizer_config.json, whatever
tokenizer.json says. So a key that is given there is followed here; where it is absent, tokenizer.json holds.
Around a text stand the class's control tokens where tokenizer.json puts none. Other classes, and files whose
model is not the class's, stay as they are.
"""

from collections.abc import Mapping
from typing import Any

from minibert.errors import InputError
from minibert.text.tokenizer import SETTINGS_FILE

KINDS = {
    "BertTokenizer": ("bert", "WordPiece"),
    "DistilBertTokenizer": ("bert", "WordPiece"),
    "ElectraTokenizer": ("bert", "WordPiece"),
    "RobertaTokenizer": ("roberta", "BPE"),
}
USUAL = {  # of each model_type, where no file names a class
    "bert": "BertTokenizer",
    "distilbert": "BertTokenizer",
    "electra": "BertTokenizer",
    "roberta": "RobertaTokenizer",
}
BERT_KEYS = {  # of tokenizer_config.json -> of the normalizer
    "do_lower_case": "lowercase",
    "strip_accents": "strip_accents",
    "tokenize_chinese_chars": "handle_chinese_chars",
}


def class_kind(engine: Any, config: Mapping[str, Any], settings: Mapping[str, Any]) -> str:
    """Return "bert" or "roberta" where a folder's tokenizer is of such a class, else "".

    config    its config.json; settings its tokenizer_config.json
    """
    family = config.get("model_type")
    if family == "modernbert":  # transformers takes its tokenizer.json as it is, whatever class is named
        return ""
    usual = USUAL.get(family, "") if isinstance(family, str) else ""
    told = settings.get("tokenizer_class") or config.get("tokenizer_class") or usual
    kind, model = KINDS.get(str(told).removesuffix("Fast"), ("", ""))
    return kind if type(engine.model).__name__ == model else ""


def follow_class(
    library: Any, engine: Any, kind: str, *, settings: Mapping[str, Any], names: Mapping[str, str]
) -> None:
    """Change the steps of an engine to what the settings say; `names` are those of the control tokens.

    Raises InputError for a value of a wrong kind, and for steps in tokenizer.json that a key does not fit.
    """
    if kind == "bert":
        _follow_bert(library, engine, settings)
        if engine.post_processor is None:
            engine.post_processor = bert_ends(library, engine, names)
        return
    prefix = _truth(settings, "add_prefix_space")
    if prefix is not None:
        _check_step(engine.pre_tokenizer, library.pre_tokenizers.ByteLevel, {"add_prefix_space": prefix})
    if prefix is not None and prefix != engine.pre_tokenizer.add_prefix_space:
        regex = engine.pre_tokenizer.use_regex
        engine.pre_tokenizer = library.pre_tokenizers.ByteLevel(add_prefix_space=prefix, use_regex=regex)
        engine.post_processor = roberta_ends(library, engine, names, prefix=prefix)
    if engine.post_processor is None:
        engine.post_processor = roberta_ends(library, engine, names, prefix=bool(prefix))


def bert_ends(library: Any, engine: Any, names: Mapping[str, str]) -> Any:
    """Return the step that makes [CLS] a [SEP], or [CLS] a [SEP] b [SEP], of texts."""
    sep, cls = ((names[kind], engine.token_to_id(names[kind])) for kind in ("sep", "cls"))
    return library.processors.BertProcessing(sep, cls)


def roberta_ends(library: Any, engine: Any, names: Mapping[str, str], *, prefix: bool) -> Any:
    """Return the step that makes <s> a </s>, or <s> a </s></s> b </s>, of texts.

    prefix  a space is put before each text, and is no character of it
    """
    sep, cls = ((names[kind], engine.token_to_id(names[kind])) for kind in ("sep", "cls"))
    return library.processors.RobertaProcessing(sep, cls, trim_offsets=True, add_prefix_space=prefix)


def _follow_bert(library: Any, engine: Any, settings: Mapping[str, Any]) -> None:
    told = {key: _truth(settings, key) for key in BERT_KEYS if key in settings}
    told = {key: value for key, value in told.items() if value is not None or key == "strip_accents"}
    if not told:
        return
    kind = library.normalizers.BertNormalizer
    _check_step(engine.normalizer, kind, told)
    before = {name: getattr(engine.normalizer, name) for name in ("clean_text", *BERT_KEYS.values())}
    engine.normalizer = kind(**{**before, **{BERT_KEYS[key]: value for key, value in told.items()}})


def _truth(settings: Mapping[str, Any], key: str) -> bool | None:
    value = settings.get(key)
    if value is not None and not isinstance(value, bool):
        raise InputError(f"{SETTINGS_FILE}: {key} is {value!r:.60}; true or false is wanted")
    return value


def _check_step(step: Any, kind: type, told: Mapping[str, Any]) -> None:
    """Raise InputError where a step of tokenizer.json is not of the kind that the keys are for."""
    if not isinstance(step, kind):
        keys = ", ".join(f"{key} {value}" for key, value in told.items())
        raise InputError(
            f"{SETTINGS_FILE} has {keys}, which is for the step {kind.__name__}, and tokenizer.json has "
            f"{'none' if step is None else type(step).__name__} there; remove the key to keep that"
        )
