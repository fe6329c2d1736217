"""Index a folder of notes into a data folder, for a benchmark: `python -m tests.bench.prepare DATA SOURCE EMAIL`."""

from __future__ import annotations

import sys
from pathlib import Path

from app import wiring
from app.demo.people import load_people
from app.demo.seed import seed_people
from app.domain import Role
from app.settings import Settings


def main(data: Path, source: Path, asker: str) -> None:
    settings = Settings(data_dir=data, openai_api_key="", anthropic_api_key="")
    services = wiring.build(settings)
    seed_people(services)
    admin = services.identity.accounts.by_email(
        next(p.email for p in load_people() if p.role == "admin")
    )
    assert admin is not None
    with services.database.write() as session:
        services.identity.accounts.upsert(
            session,
            issuer="bench",
            subject=asker,
            email=asker,
            name="Bench",
            role=Role.EMPLOYEE,
            team="Sales",
            groups=(),
        )
    actor = services.identity.accounts.person(admin.id)
    connector = services.sync.add(actor, "folder", "Notes", {"path": str(source)}, 3600)
    run = services.sync.run_once(connector)
    services.close()
    print(run.status, run.counts)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3])
