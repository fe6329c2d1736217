"""The seam between an answer that broke off and its continuation by another model: nothing is said twice.

A model that is asked to go on often repeats the last words, the last sentence, or starts again from the beginning. While its
text can still be such a repetition it is held back; the longest end of the old text that the new text begins with is cut.
"""

from __future__ import annotations

_CLOSING = ".,;:!?)]}…’'\""
SHORTEST = 8
"""Characters; a shorter overlap is more likely chance ("the clas" + "s is") than repetition."""
SHORTEST_WORD = 3
"""Of a model that was told to go on, a repeated last word is a repetition too: it began its own message."""


class Seam:
    """Takes the pieces of a continuation of `text` and gives back what is new. `exact` says that the model spoke on from the
    text's last character (prefill); otherwise a space is set where two words would run together."""

    def __init__(self, text: str, *, exact: bool) -> None:
        self._text = text
        self._exact = exact
        self._held = ""
        self._open = True

    def take(self, piece: str) -> str:
        """What of the text so far can be shown; empty while it may be a repetition."""
        if not self._open:
            return piece
        self._held += piece
        said = self._held.lstrip()
        if not said or any(end.startswith(said) for end in self._ends()):
            return ""
        return self.rest()

    def rest(self) -> str:
        """What is still held back when the continuation ends."""
        if not self._open:
            return ""
        self._open, held, said = False, self._held, self._held.lstrip()
        for end in self._ends():
            inside_word = len(end) < SHORTEST and said[len(end) :][:1].isalnum()
            if said.startswith(end) and not inside_word:
                return self._without_doubled_space(said[len(end) :])
        return self._joined(held)

    def _ends(self) -> list[str]:
        """The ends of the old text that a repetition could be, longest first: each begins with a word."""
        text = self._text.rstrip()
        starts = [0] + [n + 1 for n, letter in enumerate(text) if letter.isspace()]
        ends = (text[start:] for start in starts)
        least = SHORTEST if self._exact else SHORTEST_WORD
        return [end for end in ends if len(end) >= min(least, len(text)) and end.strip()]

    def _joined(self, new: str) -> str:
        new = self._without_doubled_space(new)
        if self._exact or not (new and self._text):
            return new
        apart = self._text[-1].isspace() or self._text[-1] in "([{-/"
        return new if apart or new[0].isspace() or new[0] in _CLOSING else f" {new}"

    def _without_doubled_space(self, new: str) -> str:
        return new.lstrip(" ") if self._text[-1:].isspace() else new
