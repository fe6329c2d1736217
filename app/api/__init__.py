"""Switchboard for programs: an OpenAI-compatible chat endpoint, search, receipts, health and metrics.

A request passes `gate` (whose key, how often, what the policy says) and then takes the same path as a page: the same turns,
the same search, the same permissions, the same records. `routes` lists what is mounted.

Of OpenAI's chat format: `model` is `auto` or an id of /v1/models; the last message is the question, user and assistant
messages before it are history, system and developer messages and sampling parameters are ignored, images and tools refused.
Beyond it: `citations` and `receipt_id`, on the body or on the last chunk of a stream (whose numbers are the marks as streamed),
and the header `Switchboard-Receipt`. Errors have OpenAI's shape: 400 the request, 401 the key, 403 the policy, 404 the model
or receipt, 413 over 1 MB, 429 too often and 503 nothing answers now, the last two with Retry-After.
"""

from app.api.routes import api_routes

__all__ = ["api_routes"]
