"""The command line: `python -m app serve | sync | migrate | key | audit | check | demo`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from app.db import Database, current_revision, migrate
from app.errors import SwitchboardError
from app.logs import set_up
from app.records import Ledger
from app.settings import Settings, read_settings


def main(arguments: Sequence[str] | None = None) -> int:
    """Returns the exit code: 0 done, 1 a check or a command failed, 2 wrong arguments."""
    options = parser().parse_args(arguments)
    try:
        settings = read_settings()
        set_up(settings.log_level)
        return int(options.run(settings, options))
    except SwitchboardError as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130


def parser() -> argparse.ArgumentParser:
    top = argparse.ArgumentParser(prog="python -m app", description="Switchboard's commands.")
    commands = top.add_subparsers(required=True, metavar="command")

    command = commands.add_parser("serve", help="serve the desk")
    command.set_defaults(run=serve)

    command = commands.add_parser("migrate", help="bring the database to the newest revision")
    command.set_defaults(run=run_migrate)

    command = commands.add_parser("check", help="the pre-flight: what works, what does not, why")
    command.set_defaults(run=check)

    command = commands.add_parser("sync", help="sync every connector once, without serving")
    command.add_argument("--connector", help="only the one with this name")
    command.set_defaults(run=sync)

    key = commands.add_parser("key", help="personal API keys").add_subparsers(required=True)
    command = key.add_parser("create", help="make one; it is shown once")
    command.add_argument("--user", required=True, help="e-mail address of its owner")
    command.add_argument("--name", default="command line")
    command.add_argument("--days", type=int, default=90)
    command.set_defaults(run=key_create)

    audit = commands.add_parser("audit", help="the log").add_subparsers(required=True)
    command = audit.add_parser("verify", help="find any change, gap or reordering")
    command.add_argument("--head", default="", help="a head noted earlier; must still be in it")
    command.set_defaults(run=audit_verify)
    command = audit.add_parser("export", help="write every event as JSON lines")
    command.add_argument("--out", type=Path, help="file; default standard output")
    command.set_defaults(run=audit_export)

    command = commands.add_parser("demo", help="print who can sign in to the demo company")
    command.set_defaults(run=demo)
    return top


def serve(settings: Settings, _options: argparse.Namespace) -> int:
    from app import server, wiring
    from app.demo.inbox import with_inbox
    from app.demo.seed import who_can_sign_in

    server.few_arenas()
    services = wiring.build(with_inbox(settings))
    try:
        if settings.demo_issuer and settings.demo:
            print(who_can_sign_in())
        print(f"Switchboard is at {settings.address}", flush=True)
        server.serve(services)
    finally:
        services.close()
    return 0


def run_migrate(settings: Settings, _options: argparse.Namespace) -> int:
    database = Database(settings.database)
    migrate(database)
    print(f"The database is at revision {current_revision(database)}.")
    database.close()
    return 0


def check(settings: Settings, _options: argparse.Namespace) -> int:
    from app.preflight import run_checks

    return run_checks(settings)


def sync(settings: Settings, options: argparse.Namespace) -> int:
    from app import wiring

    services = wiring.build(settings)
    failed = 0
    try:
        for status in services.sync.overview():
            if options.connector and status.name != options.connector:
                continue
            run = services.sync.run_once(status.id)
            failed += run.status != "finished"
            print(f"{status.name}: {run.status} {run.counts} {run.error}".rstrip())
    finally:
        services.close()
    return 1 if failed else 0


def key_create(settings: Settings, options: argparse.Namespace) -> int:
    from app.identity import Identity

    database = Database(settings.database)
    migrate(database)
    identity = Identity.build(settings, database, Ledger(database))
    owner = identity.accounts.by_email(options.user)
    if owner is None:
        print(f"Nobody here has the e-mail address {options.user}.", file=sys.stderr)
        return 1
    secret, row = identity.keys.create(owner.id, options.name, options.days, owner.id)
    print(f"{secret}\nValid until {row.expires_at:%Y-%m-%d}. It is not shown again.")
    database.close()
    return 0


def audit_verify(settings: Settings, options: argparse.Namespace) -> int:
    verified = Ledger(Database(settings.database)).verify(options.head)
    if verified.broken:
        print(f"Broken at event {verified.broken.seq}: {verified.broken.problem}.")
        print(f"The {verified.events} events before it hold together.")
        return 1
    print(f"{verified.events} events hold together. Head {verified.head}")
    return 0


def audit_export(settings: Settings, options: argparse.Namespace) -> int:
    out = options.out.open("w", encoding="utf-8") if options.out else sys.stdout
    for line in Ledger(Database(settings.database)).export():
        print(line, file=out)
    if options.out:
        out.close()
    return 0


def demo(settings: Settings, _options: argparse.Namespace) -> int:
    from app.demo.seed import who_can_sign_in

    print(who_can_sign_in())
    print(f"Sign in at {settings.address}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
