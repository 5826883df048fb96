"""English pronouns of gender whose partner hangs on the sentence: her is him or his, his is her or hers.

"Her" owns what it stands before (her film), unless nobody owns that (saw her in Paris) or the sentence ends.
Two readings are open where one word follows alone, behind a verb that takes a person and something else (made
her happy, wished her luck) or in -ly (asked her politely): None, and the word stays as it is. The lists are
short, and made for plain sentences; they are no parser.
"""

import re

# Words that nobody owns: what stands before them is "him" or "hers".
FREE = frozenset(
    """a about above across after again against ago alone along already also although always am among an
    and another any are around as aside at away be because been before behind below beneath beside between
    beyond both but by can cannot could despite did do does down during each either else enough even ever
    everywhere except for forever forward from had has have he here herself himself his how i if in indeed
    inside instead into is it its itself just later like may me might must my myself near neither never no
    nor not now of off often on once onto or our out outside over perhaps prior quite rather she should
    since so some sometimes somewhere soon such than that the their them then there these they this those
    though through throughout till to today together tomorrow tonight too toward towards twice under unless
    until up upon was we were what whatever when whenever where wherever whether which while who whom whose
    why will with within without would yesterday yet you your""".split()
)
EITHER = frozenset("all back first home last left right".split())  # owned, or said of the verb
SOME = re.compile("(any|every|no|some)(thing|one|body|where)|none")
TWO = re.compile(  # verbs that take a person and something else, in all their forms
    "(ask|call|consider|feel|find|hear|help|imagin|keep|let|nam|offer|remember|see|send|show|tell|think|turn|"
    "watch|wish)(e|s|es|ed|d|n|ing|ting)?|brought|caught|felt|found|gave|giv(e|es|en|ing)|ha(d|s|ve|ving)|heard|"
    "kept|leav(e|es|ing)|left|ma(de|ke|kes|king)|saw|sent|thought|told"
)
WORD = re.compile(r"\s+([^\W\d_]+(?:['’-][^\W\d_]+)*)")


def of_her(before: str, after: str) -> str | None:
    """Return "his" or "him" for a "her" between two stretches of text; None where both may be meant.

    >>> of_her("in ", " new film"), of_her("They saw ", " there."), of_her("It made ", " happy.")
    ('his', 'him', None)
    """
    if both := re.match(r"(?:/|\s+(?:or|and)\s+)(his|him)\b", after, re.IGNORECASE):
        return both[1].lower()
    following = WORD.match(after)
    if following is None:  # the end, a comma; or a number, a quotation
        return "his" if re.match(r"\s+[\"'“‘`]*\w", after) else "him"
    word, alone = following[1].lower(), ends_phrase(after[following.end() :])
    if word in FREE or SOME.fullmatch(word):
        return "him"
    verb = re.search(r"([^\W\d_]+)\s+$", before.lower())
    two = word in EITHER or word.endswith("ly") or (verb is not None and TWO.fullmatch(verb[1]))
    return None if alone and two else "his"


def of_his(after: str) -> str | None:
    """Return "her" or "hers" for a "his" before a stretch of text; None where both may be meant.

    >>> of_his(" film"), of_his("."), of_his(" and mine")
    ('her', 'hers', None)
    """
    following = WORD.match(after)
    if following is None:
        return "her" if re.match(r"\s+[\"'“‘`(\[]*\w|/her\b", after) else "hers"
    word = following[1].lower()
    if word in ("and", "or"):
        return "her" if re.match(r"\s+her\s+\w", after[following.end() :]) else None
    return "hers" if word in FREE else "her"


def ends_phrase(rest: str) -> bool:
    """Say whether no noun can follow: the text ends, pauses, or goes on with a word that nobody owns."""
    following = WORD.match(rest)
    return following is None or following[1].lower() in FREE
