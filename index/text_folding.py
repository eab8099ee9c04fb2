"""Text as the analyzer reads it: NFKC, case, diacritics, Greek letters and LaTeX folded away.

Every rewrite is a pattern and a replacement, applied the same way by `fold` (the text alone) and
by `fold_aligned` (with the place in the original that each character came from). What a character
folds to does not depend on its neighbours, except for Greek letters and LaTeX commands.
"""

import re
import unicodedata
from collections.abc import Callable
from typing import NamedTuple

# Accents of Latin, Greek and Cyrillic. Marks of other scripts carry meaning and stay.
_ACCENT = re.compile("[\u0300-\u036f\u1ab0-\u1aff\u1dc0-\u1dff\u20d0-\u20ff\ufe20-\ufe2f]+")
_HYPHENS = "\u2010\u2011\u2012\u2013\u2212\ufe63\uff0d"
_APOSTROPHES = "\u2018\u2019\u201b\u02bc\u2032"
_INVISIBLE = "\u00ad\u200b\u200c\u200d\u2060\ufeff"
_SPACES = "\u2014\u2015\u00d7\u22c5\u00b7"
# What readers take for one thing and Unicode does not fold.
_ALIKE = {
    **dict.fromkeys(_HYPHENS, "-"),
    **dict.fromkeys(_APOSTROPHES, "'"),
    **dict.fromkeys(_INVISIBLE, ""),
    **dict.fromkeys(_SPACES, " "),
    **{"\u2044": "/", "\u2215": "/", "ø": "o", "æ": "ae", "œ": "oe", "ł": "l", "đ": "d"},
    **{"\u0131": "i", "ð": "d", "þ": "th", "\u03c2": "\u03c3"},
}
_GREEK_NAMES = """
alpha beta gamma delta epsilon zeta eta theta iota kappa lambda mu nu xi omicron pi rho sigma tau
upsilon phi chi psi omega
"""
_GREEK = dict(zip("αβγδεζηθικλμνξοπρστυφχψω", _GREEK_NAMES.split(), strict=True))
_LATEX_LETTERS = {
    **{name: letter for letter, name in _GREEK.items()},
    **{"var" + name: letter for letter, name in _GREEK.items()},
    **{"o": "o", "l": "l", "ss": "ss", "ae": "ae", "oe": "oe", "aa": "a", "i": "i", "j": "j"},
}
_LATEX_SIGNS = ("\\", "_{", "^{", "$_", "$^")
# These only dress their argument, which must stay joined to what surrounds it.
_DRESS_NAMES = """
mathrm mathbf mathit mathsf mathtt mathcal mathbb mathfrak boldsymbol bm rm bf it sf tt text textrm
textit textbf textsc texttt textsuperscript textsubscript emph mbox ce operatorname ensuremath
hat tilde bar vec c v u k r d b h
"""
_LATEX_DRESS = frozenset(_DRESS_NAMES.split())
_LATEX_SIGNS = ("\\", "_{", "^{", "$_", "$^")
# These only dress their argument, which must stay joined to what surrounds it.
_LATEX_DRESS = frozenset(
    "mathrm mathbf mathit mathsf mathtt mathcal mathbb mathfrak boldsymbol bm rm bf it sf tt text"
    " textrm textit textbf textsc texttt textsuperscript textsubscript emph mbox ce operatorname"
    " ensuremath hat tilde bar vec c v u k r d b H".lower().split()
)


def _fold_character(character: str) -> str:
    """One character in compatibility form, lower case, without its accents."""
    before = ""
    while character != before:
        before = character
        character = "".join(_ALIKE.get(c, c) for c in character)
        character = unicodedata.normalize("NFKD", character).casefold()
        character = _ACCENT.sub("", character)
    return character


class _Folds(dict[int, str]):
    """Code point -> what it folds to, worked out on first use; a table for `str.translate`."""

    def __missing__(self, code_point: int) -> str:
        folded = self[code_point] = _fold_character(chr(code_point))
        return folded


_FOLDS = _Folds()


def _latex(match: re.Match[str]) -> str:
    """What stands for a LaTeX command: its letter, nothing, or a space between words."""
    command = match[1]
    if command is None:
        return " " if match[0] in {"}{", "\\\\"} else ""
    if command in _LATEX_DRESS:
        return ""
    return _LATEX_LETTERS.get(command, " ")


def _greek(match: re.Match[str]) -> str:
    """The names of one or two Greek letters, with hyphens to what they touch, as in TNF-alpha.

    A mu before a unit is the prefix micro, and `u` as it is typed.
    """
    text, begin, end = match.string, match.start(), match.end()
    if match[1]:
        return "u"
    before = "-" if begin and text[begin - 1].isalnum() else ""
    after = "-" if end < len(text) and text[end].isalnum() else ""
    return before + "-".join(_GREEK[letter] for letter in match[0]) + after


def _is_foreign(text: str) -> bool:
    return not text.isascii()


class _Rewrite(NamedTuple):
    """A pattern that marks the text as needing it, the pattern to replace, the replacement."""

    needed: Callable[[str], object]
    pattern: re.Pattern[str]
    replace: Callable[[re.Match[str]], str]


_REWRITES = (
    _Rewrite(
        _is_foreign,
        re.compile(r"[^\x00-\x7f]+"),
        lambda match: match[0].translate(_FOLDS),
    ),
    # Kana with their voice marks and Korean syllables, which came apart above.
    _Rewrite(
        _is_foreign,
        re.compile("[\u3040-\u30ff][\u3099\u309a]|[\u1100-\u11ff]+"),
        lambda match: unicodedata.normalize("NFC", match[0]),
    ),
    _Rewrite(
        lambda text: any(sign in text for sign in _LATEX_SIGNS),
        re.compile(r"\\([a-z]++)\*?|\}\{|[${}]|_(?=[{\d])|\\[\"'^~`=.]|\\\\"),
        _latex,
    ),
    _Rewrite(
        _is_foreign,
        re.compile(
            r"(?<![\u0370-\u03ff])(?:(μ)(?=(?:m|g|l|s|a|v|w|f|h|mol|ci|sv|gy|pa)(?![^\W\d_]))"
            r"|[\u03b1-\u03c9]{1,2}(?![\u0370-\u03ff]))"
        ),
        _greek,
    ),
)


def fold(text: str) -> str:
    """The folded text. Never raises; folding a folded text changes nothing but LaTeX."""
    first, *others = _REWRITES
    if first.needed(text):
        text = first.pattern.sub(first.replace, text)
    text = text.lower()  # only ASCII is left to change, so lengths stay
    for rewrite in others:
        if rewrite.needed(text):
            text = rewrite.pattern.sub(rewrite.replace, text)
    return text


class AlignedText(NamedTuple):
    """A folded text, and for each of its characters where it began and ended in the original."""

    text: str
    starts: list[int]
    ends: list[int]


def keeps_places(text: str) -> bool:
    """Whether folding only lowers letters, so that each character stays where it is."""
    lowered = text.lower()
    return text.isascii() and not any(rewrite.needed(lowered) for rewrite in _REWRITES)


def fold_aligned(text: str) -> AlignedText:
    """The same text as `fold`, with offsets. For the few texts that are shown, not for indexing."""
    aligned = AlignedText(text, list(range(len(text))), list(range(1, len(text) + 1)))
    first, *others = _REWRITES
    for rewrite in (_Rewrite(first.needed, re.compile(r"[^\x00-\x7f]"), first.replace), *others):
        if rewrite.needed(aligned.text):
            aligned = _apply(rewrite, aligned)
        aligned = aligned._replace(text=aligned.text.lower())
    return aligned


def _apply(rewrite: _Rewrite, aligned: AlignedText) -> AlignedText:
    """The rewrite done; every character of a replacement covers all that was replaced."""
    pieces: list[str] = []
    starts: list[int] = []
    ends: list[int] = []
    at = 0
    for match in rewrite.pattern.finditer(aligned.text):
        begin, end = match.span()
        replacement = rewrite.replace(match)
        pieces += (aligned.text[at:begin], replacement)
        starts += aligned.starts[at:begin] + [aligned.starts[begin]] * len(replacement)
        ends += aligned.ends[at:begin] + [aligned.ends[end - 1]] * len(replacement)
        at = end
    pieces.append(aligned.text[at:])
    starts += aligned.starts[at:]
    ends += aligned.ends[at:]
    return AlignedText("".join(pieces), starts, ends)
