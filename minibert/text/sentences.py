"""Where sentences end: at line ends and at their punctuation, without a list of abbreviations.

A full stop, question or exclamation mark ends a sentence before white space, unless a small letter follows
("e.g. this one" stays whole); 。！？ end one wherever they stand, with the quotation marks behind them. So
"Dr. Smith" is cut in two: known limit of a rule that learns nothing.
"""

import re

END = re.compile(r"\n+|[。！？]+[”’」』）]*|[.!?]+[\"'”’)\]]*(?=\s+[^a-z\s])")


def sentence_spans(text: str) -> list[tuple[int, int]]:
    """Return (start, end) of each sentence in characters, without the white space around it.

    >>> sentence_spans("It rains, e.g. here. Does it? 是的。好。")
    [(0, 20), (21, 29), (30, 33), (33, 35)]
    """
    ends = [*(match.end() for match in END.finditer(text)), len(text)]
    spans = []
    for start, end in zip([0, *ends[:-1]], ends, strict=True):
        part = text[start:end]
        left = start + len(part) - len(part.lstrip())
        if part.strip():
            spans.append((left, left + len(part.strip())))
    return spans
