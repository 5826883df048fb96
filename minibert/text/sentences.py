"""Where sentences begin and end, in English and Chinese, by rules.

A sentence ends after . ! ? or … (and the quotes and brackets that close there) before white space, unless
what follows begins in lower case, or the full stop belongs to a title (Dr.), to a single letter (J. Smith,
U.S.) or to one of the few abbreviations below. It ends after 。！？ and …… wherever they stand, after ! and ?
before a Han character too, and at the end of a line.
Left out: full stops that nothing parts from the next word, and languages with other rules.
"""

import re

from minibert.text.scripts import HAN

CLOSING = "\"'”’»)\\]」』）】》"
END = re.compile(
    rf"[.!?…]+[{CLOSING}]*(?=\s)|[!?]+[{CLOSING}]*(?=[{HAN}])|[。！？]+[{CLOSING}]*|……[{CLOSING}]*|\n"
)
ABBREVIATION = re.compile(
    r"(?:\b(?:Mr|Mrs|Ms|Dr|Prof|St|Gen|Sen|Rep|Gov|Capt|Lt|Col|Sgt|Mt|No|Nos|Fig|vs|cf|e\.g|i\.e)|\b[A-Z])\.$"
)
NEXT = re.compile(r"\s*[\"'“‘«(\[]*(\w?)")


def sentence_spans(text: str) -> list[tuple[int, int]]:
    """Return [start, end) of each sentence in characters; what lies between is white space.

    >>> text = 'Dr. Hall left. "Why?" she asked.'
    >>> [text[start:end] for start, end in sentence_spans(text)]
    ['Dr. Hall left.', '"Why?" she asked.']
    """
    borders = [match.end() for match in END.finditer(text) if _ends(text, match)]
    spans = []
    for start, end in zip([0, *borders], [*borders, len(text)], strict=True):
        part = text[start:end]
        if part.strip():
            first = start + len(part) - len(part.lstrip())
            spans.append((first, first + len(part.strip())))
    return spans


def _ends(text: str, match: re.Match[str]) -> bool:
    if match[0][0] not in ".!?…":
        return True
    following = NEXT.match(text, match.end())
    if following is not None and following[1].islower():
        return False
    return match[0] != "." or ABBREVIATION.search(text, max(0, match.start() - 8), match.end()) is None
