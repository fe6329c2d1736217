"""Switchboard for programs: an OpenAI-compatible chat endpoint, search, receipts, health and metrics.

A request passes `gate` (whose key, how often, what the policy says) and then takes the same path as a page: the same turns,
the same search, the same permissions, the same records. `routes` lists what is mounted.
"""

from app.api.routes import api_routes

__all__ = ["api_routes"]
