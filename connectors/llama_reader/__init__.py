"""Any LlamaIndex reader as a source, with readers (people) that the admin states."""

from connectors.llama_reader.connector import LlamaReader

CONNECTOR = LlamaReader

__all__ = ["CONNECTOR", "LlamaReader"]
