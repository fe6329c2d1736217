"""Who is asking: OpenID sign-in, server-side sessions, groups, personal API keys, and the demo issuer.

`Identity.build` makes everything once; `Sessions.resolve` turns a cookie into a Person and `ApiKeys.resolve` a key. Nothing else
proves identity. Authlib and joserfc belong to this room.
"""

from app.identity.accounts import Accounts
from app.identity.groups import Directory
from app.identity.identity import Identity
from app.identity.issuer import issuer_routes
from app.identity.keys import ApiKeys
from app.identity.provider import Provider
from app.identity.routes import sign_in_routes
from app.identity.sessions import SESSION_COOKIE, Sessions

__all__ = [
    "SESSION_COOKIE",
    "Accounts",
    "ApiKeys",
    "Directory",
    "Identity",
    "Provider",
    "Sessions",
    "issuer_routes",
    "sign_in_routes",
]
