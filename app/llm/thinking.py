"""Models that think before they answer: they take no temperature, and their thoughts are billed as tokens of the answer."""

from __future__ import annotations

import re

_THINKS = re.compile(r"^(o\d|gpt-[5-9])(?!.*chat)")
_THINKING_TOKENS = 4000


def thinking_tokens(provider: str, model_name: str) -> int:
    """How many tokens it is given for its thoughts, beyond those of the answer; 0 for a model that answers at once."""
    return _THINKING_TOKENS if provider == "openai" and _THINKS.match(model_name) else 0
