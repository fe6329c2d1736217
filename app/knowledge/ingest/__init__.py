"""From a source's bytes to chunks: `parse` by type in a process that can be killed, `split` by structure."""

from app.knowledge.ingest.parsed import Parsed, Section
from app.knowledge.ingest.process import ParserProcess
from app.knowledge.ingest.split import Chunk, split

__all__ = ["Chunk", "Parsed", "ParserProcess", "Section", "split"]
