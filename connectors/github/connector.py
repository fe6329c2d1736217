"""The GitHub connector."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from connectors.contract import (
    AccessChange,
    Change,
    Check,
    Checkpoint,
    Connector,
    Deletion,
    Event,
    Handled,
    Limits,
    Reader,
    SourceFault,
)
from connectors.github import events, people
from connectors.github.api import GitHubApi
from connectors.github.model import Repository
from connectors.github.reading import BATCH, Place, RepositoryReader
from connectors.github.settings import GitHubSecrets, GitHubSettings


class GitHubConnector(Connector):
    kind = "github"
    title = "GitHub"
    description = "Issues, pull requests and documents of an organization's repositories."
    category = "Tickets"
    setup_help = (Path(__file__).parent / "SETUP.md").read_text("utf-8")
    settings_model = GitHubSettings
    secrets_model = GitHubSecrets
    # 5,000 requests an hour; each clock of the groups asks once for each private repository.
    limits = Limits(requests_per_minute=80, groups_every_s=600)
    settings: GitHubSettings
    secrets: GitHubSecrets
    _opened: tuple[GitHubApi, people.People] | None = None
    _by_id: dict[str, Repository] | None = None

    # --- Checks ---

    def validate(self) -> list[Check]:
        return [
            Check.attempt("content", self._see_content),
            Check.attempt("permissions", self._see_readers),
            Check.attempt("groups", self._see_people),
        ]

    def _see_content(self) -> str:
        found = self._repositories()
        if not found:
            raise SourceFault(
                "The token sees no repository.",
                "Check the organization's name, the repositories, and what the token was given.",
            )
        first = self._reader(found[0])
        next(first.ids(), None)
        return f"{len(found)} repositories can be read."

    def _see_readers(self) -> str:
        private = [r for r in self._repositories() if r.visibility == "private"]
        hidden = [r.name for r in private if self._api.collaborators(r) is None]
        if hidden:
            raise SourceFault(
                f"GitHub does not tell who may read {len(hidden)} of {len(private)} private repositories, "
                f"such as {hidden[0]}: nobody finds them.",
                "Let an account that may write to them create the token.",
            )
        return f"The readers of {len(private)} private repositories are told."

    def _see_people(self) -> str:
        members = self._api.members()
        known = self._people.addresses()
        hidden = sum(not known.get(member.login.lower()) for member in members)
        if members and hidden == len(members):
            raise SourceFault(
                "No member's e-mail address is known, so nobody would find anything.",
                "Choose another way under 'E-mail addresses from', or name people under 'People'.",
            )
        more = f" {hidden} have no known e-mail address and find nothing." if hidden else ""
        return f"{len(members)} members.{more}"

    # --- Content ---

    def changes(self, checkpoint: Mapping[str, Any], known: Mapping[str, str]) -> Iterator[Change]:
        """Each repository from where it was read to; everything once in `full_hours`. What is gone is told by `Deletion`."""
        now = self.context.clock().timestamp()
        chosen = (
            self.settings.model_dump_json()
        )  # other settings want other documents: all is read again
        same = bool(known) and checkpoint.get("settings") == chosen
        places: dict[str, Any] = dict(checkpoint.get("repositories") or {}) if same else {}
        repositories = self._repositories()
        ids = {repository.id for repository in repositories}
        yield from (Deletion(id) for id in sorted(known) if id.partition("/")[0] not in ids)
        for number, repository in enumerate(repositories, start=1):
            self.context.progress(repository.name, number, len(repositories))
            own = places.get(repository.id) or {}
            full_at = float(own.get("full_at") or 0.0)
            full = now - full_at >= self.settings.full_hours * 3600
            since_checkpoint = 0
            for change in self._reader(repository).changes(Place.of(own), known, full):
                if self.context.cancelled():
                    return
                if isinstance(change, Place):
                    at = {**change.state, "full_at": full_at}
                    places[repository.id] = at
                    yield Checkpoint({"settings": chosen, "repositories": dict(places)})
                    since_checkpoint = 0
                    continue
                yield change
                since_checkpoint += 1
                if since_checkpoint >= BATCH:  # saves what was read; the place stays
                    yield Checkpoint({"settings": chosen, "repositories": dict(places)})
                    since_checkpoint = 0
            if full:
                places[repository.id] = {**places[repository.id], "full_at": now}
        if self.context.cancelled():
            return
        kept = {id: place for id, place in places.items() if id in ids}
        yield Checkpoint({"settings": chosen, "repositories": kept})

    def refetch(self, ids: Sequence[str]) -> Iterator[Change]:
        found = {repository.id: repository for repository in self._repositories()}
        for id in ids:
            repository = found.get(id.partition("/")[0])
            yield self._reader(repository).again(id) if repository else Deletion(id)

    # --- Permissions ---

    def access(self, since: Mapping[str, Any]) -> Iterator[AccessChange | Checkpoint]:
        """A document's readers are always its repository's group, so only a beginner needs telling."""
        repositories = self._repositories()
        if not since:
            for repository in repositories:
                reader = self._reader(repository)
                for id in reader.ids():
                    yield AccessChange(id, reader.access, self.settings.data_class)
        yield Checkpoint({"told": True})

    def groups(self) -> Mapping[str, frozenset[str]]:
        return people.groups(self._api, self._people, self._repositories())

    def may_read(self, document_id: str, reader: Reader) -> bool:
        if self._by_id is None:
            self._by_id = {repository.id: repository for repository in self._repositories()}
        repository = self._by_id.get(document_id.partition("/")[0])
        if repository is None:
            return False
        return any(
            self._api.permission(repository, login) in {"admin", "write", "read"}
            for login in self._people.logins(reader.email)
        )

    def handle_event(self, event: Event) -> Handled:
        events.verify(event, self.secrets.webhook_secret.get_secret_value())
        return events.meaning(event)

    # --- Parts ---

    @property
    def _api(self) -> GitHubApi:
        return self._open()[0]

    @property
    def _people(self) -> people.People:
        return self._open()[1]

    def _open(self) -> tuple[GitHubApi, people.People]:
        """One client for this piece of work: opening one costs more than a call."""
        if self._opened is None:
            token = self.secrets.token.get_secret_value()
            api = GitHubApi(self.context, self.settings, token)
            self._opened = api, people.People(api, self.settings)
        return self._opened

    def _reader(self, repository: Repository) -> RepositoryReader:
        return RepositoryReader(self._api, self.settings, self.context, repository)

    def _repositories(self) -> list[Repository]:
        wanted = {name.strip().lower().rpartition("/")[2] for name in self.settings.repositories}
        unwanted = {name.strip().lower().rpartition("/")[2] for name in self.settings.exclude}
        return [
            repository
            for repository in self._api.repositories()
            if (not wanted or repository.name.lower() in wanted)
            and repository.name.lower() not in unwanted
            and (self.settings.archived or not repository.archived)
            and (self.settings.forks or not repository.fork)
        ]
