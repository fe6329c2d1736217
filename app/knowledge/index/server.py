"""A Qdrant server or cluster through `qdrant-client`: the same points, filters and fusion as the embedded engine."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from app.errors import IndexUnavailable
from app.knowledge.index import points as layout
from app.knowledge.index.fusion import fuse
from app.knowledge.index.points import Hit, IndexPoint, Readers
from app.knowledge.index.strategy import DEFAULT, Strategy
from app.knowledge.index.words import Words

if TYPE_CHECKING:
    from qdrant_client import QdrantClient

Result = TypeVar("Result")
TIMEOUT_S = 10


class ServerIndex:
    """See `VectorIndex`. The collection's name carries layout and embedder, so another model gets another collection."""

    def __init__(
        self,
        client: QdrantClient,
        *,
        dimension: int,
        embedder: str,
        strategy: Strategy = DEFAULT,
    ) -> None:
        """Creates the collection when it is missing. Raises IndexUnavailable when the server does not answer."""
        self._client = client
        self._words = Words()
        self._strategy = strategy
        self._collection = f"switchboard_{embedder}_v{layout.LAYOUT}".lower().replace("/", "_")
        self.fresh = not self._ask(lambda: client.collection_exists(self._collection))
        if self.fresh:
            self._ask(lambda: self._create(dimension))
        self._count = self._ask(lambda: client.count(self._collection, exact=True).count)

    @classmethod
    def connect(cls, url: str, api_key: str, *, dimension: int, embedder: str) -> ServerIndex:
        from qdrant_client import QdrantClient

        client = QdrantClient(
            url=url, api_key=api_key or None, timeout=TIMEOUT_S, check_compatibility=False
        )
        return cls(client, dimension=dimension, embedder=embedder)

    def upsert(self, points: Sequence[IndexPoint]) -> None:
        if points:
            batch = [self._point(point) for point in points]
            self._ask(lambda: self._client.upsert(self._collection, batch, wait=True))
            self._count = self._ask(lambda: self._client.count(self._collection).count)

    def set_access(self, document_id: str, readers: Iterable[str], data_class: int) -> None:
        from qdrant_client import models

        payload = {layout.READERS: sorted(readers), layout.DATA_CLASS: data_class}
        of_document = models.Filter(
            must=[
                models.FieldCondition(
                    key=layout.DOCUMENT, match=models.MatchValue(value=document_id)
                )
            ]
        )
        self._ask(
            lambda: self._client.set_payload(
                self._collection, payload, points=of_document, wait=True
            )
        )

    def delete(self, chunk_ids: Sequence[str]) -> None:
        if chunk_ids:
            self._ask(lambda: self._client.delete(self._collection, list(chunk_ids), wait=True))
            self._count = self._ask(lambda: self._client.count(self._collection).count)

    def vectors(self, chunk_ids: Sequence[str]) -> dict[str, NDArray[np.float32]]:
        if not chunk_ids:
            return {}
        found = self._ask(
            lambda: self._client.retrieve(
                self._collection, list(chunk_ids), with_payload=False, with_vectors=[layout.DENSE]
            )
        )
        return {str(record.id): layout.dense(record.vector) for record in found}

    def search(
        self, vector: NDArray[np.float32], text: str, readers: Readers, limit: int = 50
    ) -> list[Hit]:
        from qdrant_client import models

        permitted = models.Filter(
            must=[
                models.FieldCondition(
                    key=layout.READERS, match=models.MatchAny(any=sorted(readers.principals))
                )
            ]
        )
        requests = [self._nearest(vector, permitted, limit)]
        indices, values = self._words.query(text)
        if indices:
            requests.append(
                models.QueryRequest(
                    query=models.SparseVector(indices=indices, values=values),
                    using=layout.SPARSE,
                    filter=permitted,
                    limit=limit,
                    params=models.SearchParams(idf=models.IdfCorpusParams(corpus=permitted)),
                )
            )
        answers = self._ask(lambda: self._client.query_batch_points(self._collection, requests))
        scored = [[(str(point.id), point.score) for point in answer.points] for answer in answers]
        return fuse(scored[0], scored[1] if len(scored) > 1 else [], limit)

    def count(self) -> int:
        return self._count

    def flush(self) -> None:
        """Nothing to do: every change waits for the server's own log."""

    def close(self) -> None:
        self._client.close()

    def _nearest(self, vector: NDArray[np.float32], permitted: Any, limit: int) -> Any:
        from qdrant_client import models

        params = (
            models.SearchParams(exact=True)
            if self._few(permitted)
            else models.SearchParams(
                hnsw_ef=self._strategy.ef,
                acorn=models.AcornSearchParams(enable=True, max_selectivity=1.0),
                quantization=models.QuantizationSearchParams(
                    rescore=True, oversampling=self._strategy.rescored
                ),
            )
        )
        return models.QueryRequest(
            query=vector.tolist(), using=layout.DENSE, filter=permitted, limit=limit, params=params
        )

    def _few(self, permitted: Any) -> bool:
        if self._count < self._strategy.graph_from:
            return True
        left = self._ask(
            lambda: self._client.count(self._collection, count_filter=permitted, exact=False).count
        )
        return left <= self._strategy.exact_up_to

    def _point(self, point: IndexPoint) -> Any:
        from qdrant_client import models

        indices, values = self._words.document(point.words)
        return models.PointStruct(
            id=point.chunk_id,
            vector={
                layout.DENSE: point.vector.tolist(),
                layout.SPARSE: models.SparseVector(indices=indices, values=values),
            },
            payload={
                layout.READERS: sorted(point.readers),
                layout.DOCUMENT: point.document_id,
                layout.CONNECTOR: point.connector_id,
                layout.DATA_CLASS: point.data_class,
            },
        )

    def _create(self, dimension: int) -> None:
        from qdrant_client import models

        self._client.create_collection(
            self._collection,
            vectors_config={
                layout.DENSE: models.VectorParams(
                    size=dimension,
                    distance=models.Distance.DOT,
                    quantization_config=models.ScalarQuantization(
                        scalar=models.ScalarQuantizationConfig(
                            type=models.ScalarType.INT8, quantile=0.99, always_ram=True
                        )
                    ),
                )
            },
            sparse_vectors_config={
                layout.SPARSE: models.SparseVectorParams(modifier=models.Modifier.IDF)
            },
        )
        for field in (layout.READERS, layout.DOCUMENT, layout.CONNECTOR):
            self._client.create_payload_index(
                self._collection, field, field_schema=models.PayloadSchemaType.KEYWORD, wait=True
            )

    def _ask(self, call: Callable[[], Result]) -> Result:
        """Runs one call; every error of the client's library becomes ours."""
        import httpx
        from qdrant_client.common.client_exceptions import QdrantException
        from qdrant_client.http.exceptions import ApiException

        try:
            return call()
        except (ApiException, QdrantException, httpx.HTTPError, OSError) as error:
            raise IndexUnavailable(
                "The Qdrant server did not answer.",
                fix="Check SWITCHBOARD_QDRANT_URL and that the server is up.",
                detail=f"{type(error).__name__}: {error}",
            ) from error
