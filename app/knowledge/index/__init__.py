"""The vector index: dense and BM25 vectors with a copy of each chunk's readers. Qdrant belongs to this room.

`edge` is the embedded engine (one process, a folder), `server` a Qdrant server or cluster; both keep the same points and
answer the same `VectorIndex` protocol. SQL stays the truth: everything here can be rebuilt from it.
"""

from app.errors import ConfigurationError
from app.knowledge.embed import MiniLM
from app.knowledge.index.edge import EdgeIndex
from app.knowledge.index.fusion import fuse_again
from app.knowledge.index.points import Hit, IndexPoint, Readers, VectorIndex
from app.knowledge.index.server import ServerIndex
from app.knowledge.index.words import Words
from app.settings import Settings

__all__ = [
    "EdgeIndex",
    "Hit",
    "IndexPoint",
    "Readers",
    "ServerIndex",
    "VectorIndex",
    "Words",
    "fuse_again",
    "open_index",
]


def open_index(settings: Settings) -> VectorIndex:
    """The engine that the settings name, for the product's embedder. Raises AlreadyRunning and IndexUnavailable."""
    if settings.qdrant_url:
        if not settings.qdrant_url.startswith(("http://", "https://")):
            raise ConfigurationError(
                "SWITCHBOARD_QDRANT_URL is no web address.", fix="Use http://host:6333."
            )
        return ServerIndex.connect(
            settings.qdrant_url,
            settings.qdrant_api_key.get_secret_value(),
            dimension=MiniLM.dimension,
            embedder=MiniLM.name,
        )
    return EdgeIndex(settings.data_dir / "index", dimension=MiniLM.dimension, embedder=MiniLM.name)
