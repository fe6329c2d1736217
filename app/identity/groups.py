"""Groups, and what a person is once they are expanded.

`GroupMemberRow` holds direct memberships; a member is `user:<email>`, `everyone`, or another group. `PersonPrincipalRow`
holds the transitive closure for each person, which is what every permission check reads. Cycles are harmless: the closure
is a set. An audience (`all:<namespace>/<hash>`) is held by those who hold one principal of each of its clauses; it is never a
member of anything.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence, Set

from sqlalchemy import Text, cast, delete, insert, literal, select
from sqlmodel import Session, col

from app.db import Database
from app.db.tables import AudienceRow, GroupMemberRow, PersonPrincipalRow, PersonRow
from app.domain import EVERYONE

PROVIDER = "idp"
BATCH = 500
Clauses = Sequence[Sequence[str]]


class Directory:
    """Who is in which group. Every method but the constructor works inside the caller's `write()` session."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def replace_groups(
        self, session: Session, namespace: str, groups: Mapping[str, Iterable[str]]
    ) -> None:
        """Makes `groups` (name to member principals) all that the namespace has. Call `expand_all` afterwards."""
        wanted = {
            (name, _principal(member)) for name, members in groups.items() for member in members
        }
        rows = session.execute(
            select(col(GroupMemberRow.group_name), col(GroupMemberRow.member)).where(
                col(GroupMemberRow.namespace) == namespace
            )
        )
        _rewrite(session, namespace, {(name, member) for name, member in rows}, wanted)

    def set_direct_groups(self, session: Session, email: str, groups: Iterable[str]) -> None:
        """Makes `groups` the provider's groups that list this person directly. Call `expand` afterwards."""
        member = user_principal(email)
        present = session.execute(
            select(col(GroupMemberRow.group_name)).where(
                col(GroupMemberRow.namespace) == PROVIDER, col(GroupMemberRow.member) == member
            )
        ).scalars()
        _rewrite(
            session,
            PROVIDER,
            {(name, member) for name in present},
            {(name, member) for name in groups},
        )

    def rename_member(self, session: Session, old_email: str, new_email: str) -> None:
        """Forgets the provider's direct groups of an address that a person no longer has."""
        if user_principal(old_email) != user_principal(new_email):
            self.set_direct_groups(session, old_email, ())

    def expand(self, session: Session, person_id: str, email: str) -> frozenset[str]:
        """Rewrites one person's principals and returns them; always holds `everyone` and `user:<email>`."""
        session.flush()
        principals = _closure(session, email)
        principals |= admitted(principals, _audiences(session))
        present = set(
            session.execute(
                select(col(PersonPrincipalRow.principal)).where(
                    col(PersonPrincipalRow.person_id) == person_id
                )
            ).scalars()
        )
        _store(session, person_id, present, principals)
        return frozenset(principals)

    def expand_all(self, session: Session) -> int:
        """Rewrites everybody's principals after groups changed; returns how many people changed."""
        session.flush()
        parents: dict[str, list[str]] = defaultdict(list)
        for namespace, name, member in session.execute(
            select(
                col(GroupMemberRow.namespace),
                col(GroupMemberRow.group_name),
                col(GroupMemberRow.member),
            )
        ):
            parents[member].append(group_principal(namespace, name))
        present: dict[str, set[str]] = defaultdict(set)
        for person_id, principal in session.execute(
            select(col(PersonPrincipalRow.person_id), col(PersonPrincipalRow.principal))
        ):
            present[person_id].add(principal)
        audiences = _audiences(session)
        changed = 0
        people = session.execute(select(col(PersonRow.id), col(PersonRow.email))).all()
        for person_id, email in people:
            wanted = reachable({EVERYONE, user_principal(email)}, parents)
            wanted |= admitted(wanted, audiences)
            changed += _store(session, person_id, present[person_id], wanted)
        return changed

    def add_audiences(
        self, session: Session, namespace: str, audiences: Mapping[str, Clauses]
    ) -> None:
        """Makes principals of people whom several sets admit at once, and gives them to those people. What is there stays:
        a principal's name is made of its clauses."""
        present = session.execute(
            select(col(AudienceRow.principal)).where(
                col(AudienceRow.namespace) == namespace,
                col(AudienceRow.principal).in_(list(audiences)),
            )
        ).scalars()
        for principal in sorted(audiences.keys() - set(present)):
            clauses = [sorted(clause) for clause in audiences[principal]]
            session.add(AudienceRow(namespace=namespace, principal=principal, clauses=clauses))
            session.flush()
            people = [_holders(session, clause) for clause in clauses]
            rows = [
                {"person_id": person_id, "principal": principal}
                for person_id in sorted(set.intersection(*people))
            ]
            if rows:
                session.execute(insert(PersonPrincipalRow), rows)

    def forget_audiences(self, session: Session, namespace: str, used: Set[str]) -> None:
        """Drops a namespace's audiences that no document names any more. Call `expand_all` afterwards."""
        rows = session.execute(
            select(col(AudienceRow.principal)).where(col(AudienceRow.namespace) == namespace)
        ).scalars()
        unused = sorted(set(rows) - used)
        for start in range(0, len(unused), BATCH):
            session.execute(
                delete(AudienceRow).where(
                    col(AudienceRow.namespace) == namespace,
                    col(AudienceRow.principal).in_(unused[start : start + BATCH]),
                )
            )


def user_principal(email: str) -> str:
    return f"user:{email.strip().lower()}"


def group_principal(namespace: str, name: str) -> str:
    return f"group:{namespace}/{name}"


def reachable(start: Iterable[str], parents: Mapping[str, Iterable[str]]) -> set[str]:
    """`start` and every principal above it; `parents` maps a member to the groups that list it."""
    found = set(start)
    queue = list(found)
    while queue:
        for group in parents.get(queue.pop(), ()):
            if group not in found:
                found.add(group)
                queue.append(group)
    return found


def admitted(principals: Set[str], audiences: Mapping[str, Clauses]) -> set[str]:
    """The audiences that somebody with these principals belongs to."""
    return {
        name
        for name, clauses in audiences.items()
        if clauses and all(not principals.isdisjoint(clause) for clause in clauses)
    }


def _audiences(session: Session) -> dict[str, Clauses]:
    rows = session.execute(select(col(AudienceRow.principal), col(AudienceRow.clauses)))
    return {row.principal: row.clauses for row in rows}


def _holders(session: Session, principals: Sequence[str]) -> set[str]:
    """The people who hold one of these."""
    found: set[str] = set()
    for start in range(0, len(principals), BATCH):
        found.update(
            session.execute(
                select(col(PersonPrincipalRow.person_id)).where(
                    col(PersonPrincipalRow.principal).in_(principals[start : start + BATCH])
                )
            ).scalars()
        )
    return found


def _closure(session: Session, email: str) -> set[str]:
    """One recursive query; UNION (not UNION ALL) drops what is known, so a cycle ends."""
    first = select(cast(literal(user_principal(email)), Text).label("principal"))
    above = first.cte("above", recursive=True)
    name = literal("group:") + col(GroupMemberRow.namespace) + "/" + col(GroupMemberRow.group_name)
    # A group may list everyone, so that is a way up as well.
    step = select(cast(name, Text)).join(
        above, col(GroupMemberRow.member).in_([above.c.principal, EVERYONE])
    )
    found = session.execute(select(above.union(step).c.principal)).scalars()
    return {EVERYONE, *found}


def _store(session: Session, person_id: str, present: set[str], wanted: set[str]) -> bool:
    gone, new = sorted(present - wanted), sorted(wanted - present)
    for start in range(0, len(gone), BATCH):
        session.execute(
            delete(PersonPrincipalRow).where(
                col(PersonPrincipalRow.person_id) == person_id,
                col(PersonPrincipalRow.principal).in_(gone[start : start + BATCH]),
            )
        )
    if new:
        session.execute(
            insert(PersonPrincipalRow), [{"person_id": person_id, "principal": p} for p in new]
        )
    return bool(gone or new)


def _rewrite(
    session: Session,
    namespace: str,
    present: set[tuple[str, str]],
    wanted: set[tuple[str, str]],
) -> None:
    for name, member in sorted(present - wanted):
        session.execute(
            delete(GroupMemberRow).where(
                col(GroupMemberRow.namespace) == namespace,
                col(GroupMemberRow.group_name) == name,
                col(GroupMemberRow.member) == member,
            )
        )
    new = [
        {"namespace": namespace, "group_name": name, "member": member}
        for name, member in sorted(wanted - present)
    ]
    if new:
        session.execute(insert(GroupMemberRow), new)


def _principal(member: str) -> str:
    return user_principal(member.removeprefix("user:")) if member.startswith("user:") else member
