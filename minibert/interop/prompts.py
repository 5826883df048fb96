"""Prompts of sentence-transformers: words put before a text, such as "query: ", before it becomes a vector.

Some checkpoints were trained with them and give poorer vectors without (E5: Wang et al., 2022, "Text
Embeddings by Weakly-Supervised Contrastive Pre-training"). `config_sentence_transformers.json` lists them by
name, and may name one that stands before every text unasked.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from minibert.checkpoint import read_table, write_json
from minibert.errors import InputError

FILE = "config_sentence_transformers.json"
OF_QUERIES, OF_DOCUMENTS = ("query",), ("document", "passage", "corpus")  # the names that they look for


@dataclass(frozen=True)
class Prompts:
    """The prompts of a checkpoint by name, and the name of the one that is used unasked; "" for none.

    >>> prompts = Prompts({"query": "query: "})
    >>> prompts.chosen(None, "query"), prompts.chosen("search: ", None), prompts.chosen(None, None)
    ('query: ', 'search: ', '')
    """

    texts: Mapping[str, str] = field(default_factory=dict)
    usual: str = ""

    def chosen(self, prompt: str | None, name: str | None) -> str:
        """Return the prompt itself, or the one of a name, or the usual one; "" for none.

        Raises InputError for both at once, and for a name that is not there.
        """
        if prompt is not None and name is not None:
            raise InputError(f"prompt {prompt!r} and prompt_name {name!r}: give one of them")
        if prompt is not None:
            return prompt
        name = self.usual if name is None else name
        if name and name not in self.texts:
            known = ", ".join(self.texts) or "none"
            raise InputError(f"prompt_name {name!r} is unknown; the checkpoint has {known}; or give a prompt")
        return self.texts[name] if name else ""

    def of_kind(self, prompt: str | None, names: tuple[str, ...]) -> str:
        """Return the prompt itself, or the first that has one of some names, or the usual one."""
        named = next((name for name in names if name in self.texts), None)
        return self.chosen(prompt, None if prompt is not None else named)


NO_PROMPTS = Prompts()


def read_prompts(folder: Path) -> Prompts:
    """Read the prompts of a folder; none where it says nothing. Raises InputError for what is no text."""
    path = folder / FILE
    values = read_table(path) if path.is_file() else {}
    texts, usual = values.get("prompts") or {}, values.get("default_prompt_name") or ""
    if not isinstance(texts, dict) or not all(isinstance(text, str) for text in texts.values()):
        raise InputError(f"{path}: prompts is {texts!r:.60}; a text for each name is wanted")
    if usual and usual not in texts:
        raise InputError(
            f"{path}: default_prompt_name {usual!r} is none of {', '.join(texts) or 'no prompts'}"
        )
    return Prompts(texts, usual)


def write_prompts(folder: Path, prompts: Prompts) -> None:
    """Write the prompts where sentence-transformers looks for them; nothing where there are none."""
    if prompts.texts:
        told = {"prompts": dict(prompts.texts), "default_prompt_name": prompts.usual or None}
        write_json(folder / FILE, told)
