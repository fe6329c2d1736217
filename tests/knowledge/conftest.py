"""Real embedder, shared by the whole session because loading it costs a third of a second."""

from __future__ import annotations

import pytest

from app.knowledge.embed import Embedder, load_embedder


@pytest.fixture(scope="session")
def embedder() -> Embedder:
    return load_embedder()
