"""Settings as a .toml that `minibert finetune --config` reads."""

import json
from typing import Any

from minibert.config import group

GROUPS = ("data", "train", "task", "model", "adapt")


def as_toml(settings: dict[str, Any], about: str = "") -> str:
    """Lay out dotted keys as tables, under comment lines that say what they are.

    >>> print(as_toml({"train.learning_rate": 1e-4, "task.pooling": "mean"}, about="the best of 9"))
    # the best of 9
    <BLANKLINE>
    [train]
    learning_rate = 0.0001
    <BLANKLINE>
    [task]
    pooling = "mean"
    """
    lines = [f"# {line}" for line in about.splitlines()]
    for name, table in group(settings, GROUPS).items():
        if table:
            lines += ["", f"[{name}]", *(f"{key} = {spelled(value)}" for key, value in table.items())]
    return "\n".join(lines).lstrip("\n")


def spelled(value: Any) -> str:
    """Return a value as TOML has it; nothing at all is "none" in settings.

    >>> [spelled(value) for value in (True, 3, 2e-05, "a", None)]
    ['true', '3', '2e-05', '"a"', '"none"']
    >>> print(spelled({"pos": "great", "neg": ["bad", "dull"]}))
    {"pos" = "great", "neg" = ["bad", "dull"]}
    """
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(spelled, value))}]"
    if isinstance(value, dict):
        return f"{{{', '.join(f'{spelled(str(key))} = {spelled(each)}' for key, each in value.items())}}}"
    return json.dumps("none" if value is None else value, ensure_ascii=False)
