from __future__ import annotations

from collections.abc import Callable

import pytest

from app.demo.people import load_people
from app.demo.seed import COMPANY_FOLDER
from tests.demo.papers import FORMATS, Paper, principals_of, read_paper


@pytest.fixture(scope="session")
def papers() -> dict[str, Paper]:
    found = [
        read_paper(path) for path in sorted(COMPANY_FOLDER.rglob("*")) if path.suffix in FORMATS
    ]
    return {paper.path: paper for paper in found}


@pytest.fixture(scope="session")
def may_read() -> Callable[[str, Paper], bool]:
    known = {person.email: principals_of(person.email) for person in load_people()}
    return lambda email, paper: bool(known[email] & paper.readers)
