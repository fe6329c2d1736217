"""How to talk to a model. Every adapter is a `ChatModel`: it streams TextDelta… and one ModelDone, and raises only ModelError.

`openai` and `anthropic` import their SDKs (a second of processor time), so they are imported where a key asks for them.
"""

from app.llm.deadline import with_deadlines
from app.llm.model import ChatModel, estimate_tokens

__all__ = ["ChatModel", "estimate_tokens", "with_deadlines"]
