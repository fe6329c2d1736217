"""The vector index: dense and BM25 vectors with a copy of each chunk's readers. Qdrant belongs to this room.

`edge` is the embedded engine (one process, a folder), `server` a Qdrant server or cluster; both keep the same points and
answer the same `VectorIndex` protocol. SQL stays the truth: everything here can be rebuilt from it.
"""

from app.knowledge.index.edge import EdgeIndex
from app.knowledge.index.points import Hit, IndexPoint, Readers, VectorIndex
from app.knowledge.index.server import ServerIndex

__all__ = ["EdgeIndex", "Hit", "IndexPoint", "Readers", "ServerIndex", "VectorIndex"]
