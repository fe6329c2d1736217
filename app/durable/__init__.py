"""Work that outlives its process: `Durable` runs registered functions to their end, and takes over what dead processes left.

work.py is the only module that imports dbos; locks.py tells which processes are alive.
"""

from app.durable.work import Durable

__all__ = ["Durable"]
