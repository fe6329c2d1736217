"""How a search goes through the vectors, chosen by how many the reader filter leaves.

Measured on 100,000 and 200,000 clustered chunks of `tests.bench.scale` (seed 11; people with 200 principals, half of the
questions about what they may not read): an exact search costs 0.3 ms per 1,000 permitted chunks. The plain graph answers in
0.9 ms and for some questions finds nothing of what it should (recall@10 .97 in the mean, 0.00 at worst), since the neighbourhood
is full of forbidden chunks. With ACORN, which also looks behind forbidden neighbours, ef 128 gives .999 (.90 at worst) in 2.6 ms.
Of the exact hybrid ranking's first ten, ef 128 gives .984 when as many candidates are scored again as are wanted, .999 when twice
as many are. ef 256 gives 1.000 and takes more than twice as long as ef 128 at 1,000,000 chunks.

On 150,000 chunks (seed 11) ef 128, 112 and 96 found .9975, .997 and .9945 of the ten; with 96 one question kept a single one of
them, with 112 every question nine. At 1,000,000 (default seed, used for nothing else) ef 128 and 112 both found .995, in 15.2
and 14.3 ms at the median and 26.4 and 25.3 ms at the 95th percentile.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Strategy:
    """`graph_from`: vectors of an index from which a graph is built. `exact_up_to`: permitted chunks that are compared one by
    one all the same. `ef`: candidates that a graph search keeps. `rescored`: how many of them, in wanted results, are compared
    again by their full vectors. `counted_from`: chunks of an index from which `Rarity` counts words. `reserve_mb`: megabytes that
    must be free on the disk for a change."""

    graph_from: int = 20_000
    exact_up_to: int = 15_000
    ef: int = 112
    rescored: float = 2.0
    counted_from: int = 30_000
    reserve_mb: int = 256

    def unsorted(self, count: int) -> int:
        """Vectors that may wait outside the graph, compared one by one, before it is extended."""
        return max(self.graph_from, count // 50)


DEFAULT = Strategy()
