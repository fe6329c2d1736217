"""The Jira connector."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from connectors.atlassian import Json, site, verified
from connectors.contract import (
    Change,
    Check,
    Checkpoint,
    Connector,
    Deletion,
    Event,
    Failure,
    Handled,
    Listed,
    Reader,
    SourceFault,
)
from connectors.jira.api import JiraApi
from connectors.jira.library import Library, chosen_projects, issue_id, parsed_id
from connectors.jira.settings import JiraSecrets, JiraSettings

OVERLAP = timedelta(minutes=15)
"""JQL counts whole minutes, and its index follows behind."""
TOKEN_LIFE = timedelta(days=6)
"""Tokens of result pages end after seven days."""


class JiraConnector(Connector):
    kind = "jira"
    title = "Jira"
    description = "Issues of Jira Cloud with comments and files, for those who see them there."
    category = "Tickets"
    setup_help = Path(__file__).with_name("SETUP.md").read_text(encoding="utf-8")
    settings_model = JiraSettings
    secrets_model = JiraSecrets
    settings: JiraSettings
    secrets: JiraSecrets

    def validate(self) -> list[Check]:
        api = self._api()
        return [
            Check.attempt("content", lambda: self._see_content(api)),
            Check.attempt("permissions", lambda: self._see_permissions(api)),
            Check.attempt("groups", lambda: self._see_groups(api)),
        ]

    def _see_content(self, api: JiraApi) -> str:
        projects = chosen_projects(api, self.settings)
        wanted = {key.strip().upper() for key in self.settings.projects}
        missing = wanted - {project.key.upper() for project in projects}
        if missing or not projects:
            raise SourceFault(
                f"The account does not see {', '.join(sorted(missing)) or 'any project'}.",
                "Check the keys, and that the account may browse these projects.",
            )
        next(api.search(_of_project(projects[0].id)), None)
        return f"{len(projects)} projects can be read."

    def _see_permissions(self, api: JiraApi) -> str:
        projects = chosen_projects(api, self.settings)
        untold = [project.key for project in projects[:20] if api.browsers(project.id) is None]
        if untold:
            raise SourceFault(
                f"Jira does not tell who may browse {', '.join(untold)}.",
                "Make the account an administrator of Jira; until then nobody finds their issues.",
            )
        levels = api.level_members()
        return f"Permissions of {len(projects)} projects and {len(levels)} security levels can be seen."

    def _see_groups(self, api: JiraApi) -> str:
        groups = list(api.groups())
        people = {a.id: a for id in groups for a in api.members(id) if a.person and a.active}
        hidden = sum(not account.email for account in people.values())
        if people and hidden == len(people):
            raise SourceFault(
                "Jira shows no e-mail address, so nobody would find anything.",
                "Use the token of an organisation administrator, or let people show their address.",
            )
        more = f" {hidden} hide their e-mail address and find nothing." if hidden else ""
        return f"{len(groups)} groups, {len(people)} people.{more}"

    # --- Content ---

    def changes(self, checkpoint: Mapping[str, Any], known: Mapping[str, str]) -> Iterator[Change]:
        """What was updated, by search; everything once in `full_hours`. A page's token lets a full reading go on."""
        library = self._library()
        now, full_at = self.context.clock(), _time(checkpoint.get("full_at"))
        running = checkpoint.get("running") if known else None
        began = _time((running or {}).get("began"))
        if began is None or now - began >= TOKEN_LIFE:
            running = None
        if (
            running
            or not known
            or not full_at
            or now - full_at >= timedelta(hours=self.settings.full_hours)
        ):
            state = dict(running or {"began": now.isoformat(), "done": [], "token": ""})
            yield from self._everything(library, state, known, resumed=bool(running))
            return
        since = _time(checkpoint.get("since")) or full_at
        # Relative to Jira's own clock: absolute times are read in the account's time zone.
        minutes = int((now - since + OVERLAP).total_seconds() // 60) + 1
        state = {"full_at": full_at.isoformat(), "since": checkpoint.get("since")}
        for issues, _ in self._api().search(f'updated >= "-{minutes}m" order by updated asc'):
            for change in library.changes(issues, known):
                if self.context.cancelled():
                    return
                yield change
            yield Checkpoint(state)
        yield Checkpoint({**state, "since": now.isoformat()})

    def _everything(
        self, library: Library, state: dict[str, Any], known: Mapping[str, str], *, resumed: bool
    ) -> Iterator[Change]:
        api = self._api()
        yield from self._not_found(library)
        for number, project in enumerate(library.projects.values(), start=1):
            self.context.progress(f"Project {project.name}", number, len(library.projects))
            if project.id in state["done"]:
                continue
            for issues, token in api.search(_of_project(project.id), str(state["token"])):
                for change in library.changes(issues, known):
                    if self.context.cancelled():
                        return
                    yield change
                if self.context.cancelled():
                    return
                state = {**state, "token": token}
                yield Checkpoint({"running": state})
            state = {**state, "done": [*state["done"], project.id], "token": ""}
        yield Checkpoint({"full_at": state["began"], "since": state["began"]}, complete=not resumed)

    def _not_found(self, library: Library) -> Iterator[Failure]:
        seen = {project.key.upper() for project in library.projects.values()}
        for key in self.settings.projects:
            if key.strip() and key.strip().upper() not in seen:
                cause = "The account does not see this project, or it is archived."
                yield Failure(
                    f"project:{key}", f"Project {key}", cause, "Check its key and permissions."
                )

    def list_ids(self) -> Iterator[Listed]:
        library, api = self._library(), self._api()
        for project in library.projects.values():
            for issues, _ in api.search(_of_project(project.id)):
                for issue in issues:
                    yield from library.listed(issue)

    def refetch(self, ids: Sequence[str]) -> Iterator[Change]:
        library = self._library()
        parsed = {id: parsed_id(id) for id in ids}
        wanted = sorted({parts[0] for parts in parsed.values() if parts})
        found = {issue.id: issue for issue in self._api().issues(wanted)}
        for id, parts in parsed.items():
            if parts is None:
                yield Deletion(id)
                continue
            changes = library.take(parts[0], found.get(parts[0]), {})
            yield next((c for c in changes if getattr(c, "id", "") == id), Deletion(id))

    # --- Permissions ---

    def groups(self) -> Mapping[str, frozenset[str]]:
        return self._library().readers.groups()

    def may_read(self, document_id: str, reader: Reader) -> bool:
        parts = parsed_id(document_id)
        api = self._api()
        account = api.by_email(reader.email.strip().lower()) if parts else None
        if parts is None or account is None or not account.reads:
            return False
        return api.may_browse(account.id, int(parts[0]))

    def handle_event(self, event: Event) -> Handled:
        """Of the signed webhooks that an administrator makes."""
        body: Json = verified(event, self.secrets.webhook_secret.get_secret_value())
        name = str(body.get("webhookEvent") or "")
        issue = body.get("issue")
        id = str(issue.get("id") or "") if isinstance(issue, dict) else ""
        if id.isdecimal():
            return Handled(ids=(issue_id(id),))
        wide = name.startswith(("user_", "project_"))
        return Handled(content=not wide, permissions=wide, groups=wide)

    def _api(self) -> JiraApi:
        return JiraApi(site(self.context, self.settings, self.secrets))

    def _library(self) -> Library:
        return Library(self._api(), self.settings, self.context)


def _of_project(id: str) -> str:
    return f"project = {id} order by created asc"


def _time(value: object) -> datetime | None:
    try:
        return datetime.fromisoformat(value) if isinstance(value, str) else None
    except ValueError:
        return None
