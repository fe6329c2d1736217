"""MediaWiki's action API (mediawiki.org, "API:Main page"): sign-in with a bot password ("API:Login"), errors and maxlag
("API:Etiquette", "Manual:Maxlag parameter"), continuation ("API:Continue")."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import wraps
from typing import Any, ParamSpec, TypeVar

import httpx

from connectors.contract import Context, SourceFault
from connectors.http_answers import body_json, retry_after
from connectors.mediawiki.people import Account

MAXLAG_S = "5"
PATIENCE = 6
"""So often a busy wiki is asked again."""
BATCH = 50
"""How many pages one query may name without special rights."""
SIGNED_OUT = {"assertuserfailed", "assertnameduserfailed", "badtoken"}
BUSY = {"maxlag", "ratelimited", "readonly"}
Json = Mapping[str, Any]
P = ParamSpec("P")
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Page:
    """`hidden`: the text of its current revision was suppressed. `revision` 0: there is no such page."""

    id: int
    namespace: int
    title: str
    url: str
    revision: int
    changed: str
    redirect: bool
    hidden: bool


@dataclass(frozen=True, slots=True)
class Site:
    """`namespaces` by name in lower case. `now` is the wiki's clock."""

    name: str
    namespaces: Mapping[str, int]
    public: bool
    pages: int
    now: str


@dataclass(frozen=True, slots=True)
class Recent:
    """One recent change: the page it is about, and where it was moved to."""

    page: int
    title: str
    target: str
    at: str


def documented(parse: Callable[P, T]) -> Callable[P, T]:
    """An answer of another shape than the API promises becomes a fault in words."""

    @wraps(parse)
    def checked(*args: P.args, **kwargs: P.kwargs) -> T:
        try:
            return parse(*args, **kwargs)
        except (KeyError, TypeError, ValueError, AttributeError, IndexError):
            raise SourceFault(
                "The wiki's answer is not what MediaWiki's API promises.",
                "Check that the address ends in api.php; MediaWiki 1.35 or newer is needed.",
            ) from None

    return checked


class MediaWikiApi:
    """Signs in at the first request and again when the session has ended."""

    def __init__(self, context: Context, url: str, user: str, password: str) -> None:
        self._http = context.http.at("")
        self._url = url  # whole, because a base address would get a slash after api.php
        self._clock = context.clock
        self._user = user
        self._password = password
        self._signed_in = False

    @documented
    def site(self) -> Site:
        found = self._query(
            meta="siteinfo", siprop="general|namespaces|usergroups|statistics|namespacealiases"
        )
        names: dict[str, int] = {}
        for row in (*found["namespaces"].values(), *found["namespacealiases"]):
            for name in (row.get("name"), row.get("canonical"), row.get("alias")):
                if name is not None:
                    names.setdefault(name.lower(), row["id"])
        rights = {group["name"]: group["rights"] for group in found["usergroups"]}
        return Site(
            name=found["general"]["sitename"],
            namespaces=names,
            public="read" in rights.get("*", ()),
            pages=found["statistics"]["articles"],
            now=found["general"]["time"],
        )

    @documented
    def accounts(self) -> list[Account]:
        accounts = []
        for found in self._all(list="allusers", auprop="groups|rights|blockinfo", aulimit="max"):
            for row in found["allusers"]:
                blocked = "blockid" in row and row.get("blockpartial") is not True
                reads = "read" in row.get("rights", ())
                accounts.append(Account(row["name"], frozenset(row["groups"]), reads, blocked))
        return accounts

    def listed(self, namespace: int, start: str) -> Iterator[tuple[list[Page], str]]:
        """Pages of a namespace by title, redirects left out; with each batch, where the next begins (empty: nowhere)."""
        parameters = {
            "generator": "allpages",
            "gapnamespace": str(namespace),
            "gapfilterredir": "nonredirects",
            "gaplimit": str(BATCH),
            **_PAGE,
        }
        at: str | None = start
        while at is not None:
            begin = {"gapcontinue": at} if at else {}
            answer = self._ask({"action": "query", **parameters, **begin})
            more = answer.get("continue", {})
            if more and "gapcontinue" not in more:
                raise _fault("incomplete-answer")  # never taken for the end of the list
            at = more.get("gapcontinue")
            yield _pages(answer), at or ""

    def pages(self, *, ids: Sequence[int] = (), titles: Sequence[str] = ()) -> list[Page]:
        """At most `BATCH` of one kind. Those that are gone come with revision 0, or not at all."""
        if not ids and not titles:
            return []
        which = {"pageids": "|".join(map(str, ids))} if ids else {"titles": "|".join(titles)}
        return _pages(self._ask({"action": "query", **which, **_PAGE}))

    @documented
    def recent(self, since: str) -> list[Recent]:
        """Edits, new pages, moves, deletions, restorations and suppressions from then on, oldest first."""
        changes = []
        for found in self._all(
            list="recentchanges",
            rcprop="ids|title|timestamp|loginfo",
            rctype="edit|new|log",
            rcdir="newer",
            rcstart=since,
            rclimit="max",
        ):
            for row in found["recentchanges"]:
                target = row.get("logparams", {}).get("target_title", "")
                title = row.get("title", "")  # absent where the log entry itself is hidden
                changes.append(Recent(row.get("pageid", 0), title, target, row["timestamp"]))
        return changes

    @documented
    def html(self, revision: int) -> str | None:
        """The rendered text; None where it is gone or was hidden meanwhile."""
        answer = self._ask(
            {
                "action": "parse",
                "oldid": str(revision),
                "prop": "text",
                "disableeditsection": "1",
                "disabletoc": "1",
                "disablelimitreport": "1",
            },
            gone=("nosuchrevid", "missingtitle", "permissiondenied", "missingcontent-revid"),
        )
        return str(answer["parse"]["text"]) if "parse" in answer else None

    @documented
    def _query(self, **parameters: str) -> Json:
        found: Json = self._ask({"action": "query", **parameters})["query"]
        return found

    def _all(self, **parameters: str) -> Iterator[Json]:
        more: Mapping[str, str] = {}
        while True:
            answer = self._ask({"action": "query", **parameters, **more})
            yield answer["query"]
            if "continue" not in answer:
                return
            more = answer["continue"]

    def _ask(self, parameters: Mapping[str, str], gone: Sequence[str] = ()) -> Json:
        """An answer without an error; one whose error is in `gone` comes as it is."""
        if self._user and not self._signed_in:
            self._sign_in()
        renewed = False
        for _ in range(PATIENCE):
            response = self._http.get(self._url, params=self._complete(parameters))
            answer = _object(response)
            code = str(answer.get("error", {}).get("code", ""))
            if not code or code in gone:
                return answer
            if code in SIGNED_OUT and self._user and not renewed:
                renewed = True
                self._sign_in()
            elif code in BUSY:
                asked = retry_after(response, self._clock().timestamp())
                self._http.wait(5.0 if asked is None else min(asked, 120.0))
            else:
                raise _fault(code)
        raise _fault("maxlag")

    def _complete(self, parameters: Mapping[str, str]) -> dict[str, str]:
        signed = {"assert": "user"} if self._user else {}
        common = {"format": "json", "formatversion": "2", "maxlag": MAXLAG_S}
        return {**parameters, **common, **signed}

    @documented
    def _sign_in(self) -> None:
        ask = {"action": "query", "meta": "tokens", "type": "login"}
        form = {"format": "json", "formatversion": "2"}
        token = _object(self._http.get(self._url, params={**ask, **form}))["query"]["tokens"][
            "logintoken"
        ]
        login = {"action": "login", "lgname": self._user, "lgpassword": self._password}
        response = self._http.request(
            "POST", self._url, data={**login, "lgtoken": token, **form}, repeat=True
        )
        if _object(response)["login"]["result"] != "Success":
            raise SourceFault(
                "The wiki does not accept the bot password.",
                "It may have been revoked: make a new one at Special:BotPasswords and swap it here.",
            )
        self._signed_in = True


_PAGE = {"prop": "info|revisions", "inprop": "url", "rvprop": "ids|timestamp|sha1"}


@documented
def _pages(answer: Json) -> list[Page]:
    if "query" not in answer and answer.get("batchcomplete") is True:
        return []  # how an empty list is written
    return [_page(row) for row in answer["query"]["pages"]]


def _page(row: Json) -> Page:
    missing = row.get("missing") is True or row.get("invalid") is True
    revision: Json = {} if missing else (row.get("revisions") or [{}])[0]
    return Page(
        id=row.get("pageid", 0),
        namespace=row.get("ns", -1),
        title=row.get("title", ""),
        url=row.get("fullurl", ""),
        revision=0 if missing else row["lastrevid"],
        changed=revision.get("timestamp", ""),
        redirect=row.get("redirect") is True,
        # Without its revision nothing shows that the text may be read.
        hidden=not missing and ("sha1" not in revision or "sha1hidden" in revision),
    )


def _object(response: httpx.Response) -> Json:
    body = body_json(response)
    if not isinstance(body, dict):
        raise SourceFault(
            "The wiki's answer is not what MediaWiki's API promises.",
            "Check that the address ends in api.php.",
        )
    return body


def _fault(code: str) -> SourceFault:
    """MediaWiki reports errors inside a 200. Its own words are not repeated: they may quote what was sent."""
    if code in BUSY:
        return SourceFault(
            "The wiki is too busy to answer now.", "The next sync tries again.", passing=True
        )
    if code == "readapidenied":
        return SourceFault(
            "This wiki is private.", "Enter a bot user and its bot password with the basic rights."
        )
    if code in SIGNED_OUT:
        return SourceFault(
            "The wiki ends the session at once.", "Make a new bot password and swap it here."
        )
    if code.startswith("internal_api_error"):
        return SourceFault("The wiki failed.", "Its log may say why.", passing=True)
    shown = code if code.replace("-", "").replace("_", "").isalnum() else "unknown"
    return SourceFault(
        f"The wiki refuses the request ({shown}).", "Check the settings and the bot's rights."
    )
