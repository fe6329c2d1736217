from __future__ import annotations

import re
import tomllib
from collections import Counter, defaultdict
from collections.abc import Callable
from pathlib import Path

from app.demo.people import load_groups, load_people
from app.demo.seed import COMPANY_FOLDER
from app.domain import DataClass
from tests.demo.papers import Paper, text_of

MayRead = Callable[[str, Paper], bool]
ADDRESS = re.compile(r"(?:https?://|[\w.+-]+@)([\w-]+(?:\.[\w-]+)+)")


def test_there_are_enough_documents_of_each_format(papers: dict[str, Paper]) -> None:
    formats = Counter(Path(path).suffix for path in papers)
    assert len(papers) >= 44
    assert all(formats[suffix] >= 6 for suffix in (".md", ".pdf", ".docx", ".html"))


def test_the_folder_stays_small() -> None:
    assert sum(f.stat().st_size for f in COMPANY_FOLDER.rglob("*") if f.is_file()) < 2_000_000


def test_five_spaces_have_different_readers(papers: dict[str, Paper]) -> None:
    readers: dict[str, frozenset[str]] = defaultdict(frozenset)
    for paper in papers.values():
        readers[paper.space] |= paper.readers
    assert len({group for group in readers.values() if group}) >= 5


def test_each_data_class_is_used(papers: dict[str, Paper]) -> None:
    assert {paper.data_class for paper in papers.values()} >= set(DataClass)


def test_named_people_read_less_than_their_space_and_one_paper_has_no_reader(
    papers: dict[str, Paper], may_read: MayRead
) -> None:
    escalations = papers["sales/escalations/customer-escalations.md"]
    assert all(reader.startswith("user:") for reader in escalations.readers)
    assert not may_read("ada.lindqvist@fernhill.example", escalations)
    assert [paper.path for paper in papers.values() if not paper.readers] == [
        "unsorted/scan-2026-10-12.md"
    ]


def test_restricted_papers_are_for_the_people_team_only(
    papers: dict[str, Paper], may_read: MayRead
) -> None:
    restricted = [p for p in papers.values() if p.data_class is DataClass.RESTRICTED]
    assert len(restricted) >= 4
    for person in load_people():
        for paper in restricted:
            assert may_read(person.email, paper) == (person.team == "People")


def test_everybody_reads_something_that_somebody_else_may_not(
    papers: dict[str, Paper], may_read: MayRead
) -> None:
    for person in load_people():
        sees = {path for path, paper in papers.items() if may_read(person.email, paper)}
        assert len(sees) >= 20, person.name
        assert sees < set(papers), person.name


def test_access_files_name_only_readers_and_classes_that_exist() -> None:
    people = {person.email for person in load_people()}
    groups = set(load_groups())
    files = sorted(COMPANY_FOLDER.rglob("access.toml"))
    assert len(files) >= 8
    for file in files:
        rules = tomllib.loads(file.read_text(encoding="utf-8"))
        assert set(rules) <= {"access", "file"}, file
        for rule in [rules["access"], *rules.get("file", [])]:
            assert set(rule) <= {"match", "everyone", "users", "groups", "data_class"}, file
            assert set(rule.get("users", [])) <= people, file
            assert set(rule.get("groups", [])) <= groups, file
            DataClass.parse(rule["data_class"])


def test_each_override_matches_a_file() -> None:
    for file in COMPANY_FOLDER.rglob("access.toml"):
        for rule in tomllib.loads(file.read_text(encoding="utf-8")).get("file", []):
            assert list(file.parent.glob(rule["match"])), (file, rule["match"])


def test_documents_are_of_readable_length_and_say_their_title(papers: dict[str, Paper]) -> None:
    titles = set()
    for path in papers:
        text = text_of(COMPANY_FOLDER / path)
        assert 90 <= len(text.split()) <= 750, (path, len(text.split()))
        titles.add(text.strip().splitlines()[0])
    assert len(titles) == len(papers)


def test_every_address_is_invented(papers: dict[str, Paper]) -> None:
    for path in papers:
        source = COMPANY_FOLDER / path
        text = text_of(source)
        if source.suffix == ".html":
            text += source.read_text(encoding="utf-8")
        for domain in ADDRESS.findall(text):
            assert domain.rstrip(".").endswith(".example"), (path, domain)


def test_pages_leave_their_navigation_behind(papers: dict[str, Paper]) -> None:
    for path in papers:
        if path.endswith(".html"):
            source = (COMPANY_FOLDER / path).read_text(encoding="utf-8")
            assert "Imprint" in source
            assert "Imprint" not in text_of(COMPANY_FOLDER / path), path
