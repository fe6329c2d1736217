"""Random tokens and how they are kept: 256 random bits go to the holder, their SHA-256 stays here.

A fast hash is enough because the input has full entropy; a slow one is for passwords, and there are none.
"""

from __future__ import annotations

import hashlib
import secrets

LONGEST = 200


def new_token(prefix: str = "") -> str:
    """43 URL-safe characters (256 bits) after the prefix."""
    return prefix + secrets.token_urlsafe(32)


def digest(token: str) -> str:
    """SHA-256 in hex, the only form in which a token is stored or looked up."""
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).hexdigest()
