"""How a search goes through the vectors, chosen by how many the reader filter leaves.

Measured on 100,000 and 200,000 clustered chunks of `tests.bench.scale` (seed 11; people with 200 principals, half of the
questions about what they may not read): an exact search costs 0.3 ms per 1,000 permitted chunks. The plain graph answers in
0.9 ms and for some questions finds nothing of what it should (recall@10 .97 in the mean, 0.00 at worst), since the neighbourhood
is full of forbidden chunks. With ACORN, which also looks behind forbidden neighbours, ef 128 gives .999 (.90 at worst) in 2.6 ms.
Of the exact hybrid ranking's first ten, ef 128 gives .984 when as many candidates are scored again as are wanted, .999 when twice
as many are. ef 256 gives 1.000; at 1,000,000 chunks, on
a busy machine, its vector search took 29 ms and that with ef 128 12 ms, and both found .999 and more of the ten.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Strategy:
    """`graph_from`: vectors of an index from which a graph is built. `exact_up_to`: permitted chunks that are compared one by
    one all the same. `ef`: candidates that a graph search keeps. `rescored`: how many of them, in wanted results, are compared
    again by their full vectors. `counted_from`: chunks of an index from which `Rarity` counts words."""

    graph_from: int = 20_000
    exact_up_to: int = 15_000
    ef: int = 128
    rescored: float = 2.0
    counted_from: int = 30_000

    def unsorted(self, count: int) -> int:
        """Vectors that may wait outside the graph, compared one by one, before it is extended."""
        return max(self.graph_from, count // 50)


DEFAULT = Strategy()
