"""Started work ends, once for each id, whatever happens to the process that began it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from app.db import Database
from app.domain import Json
from app.durable import Durable
from app.durable.work import SYNC_LIMIT
from app.errors import ConfigurationError
from app.settings import Settings
from tests.servers.postgres import postgres

DEADLINE_S = 90.0


@pytest.fixture
def durable(settings: Settings, database: Database) -> Iterator[Durable]:
    durable = Durable(settings, database)
    yield durable
    durable.shutdown()


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + DEADLINE_S
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.02)


def test_work_runs_once_for_each_id(durable: Durable) -> None:
    ran: list[Json] = []
    durable.register("note", ran.append)
    durable.launch()
    starters = [
        threading.Thread(target=durable.start, args=("note", "same", {"n": 1})) for _ in range(8)
    ]
    for starter in starters:
        starter.start()
    for starter in starters:
        starter.join()
    until(lambda: durable.status("same") == "SUCCESS")
    durable.start("note", "same", {"n": 1})
    durable.start("note", "other", {"n": 2})
    until(lambda: durable.status("other") == "SUCCESS")
    assert ran == [{"n": 1}, {"n": 2}]


def test_syncs_share_two_places(durable: Durable) -> None:
    gate, lock = threading.Event(), threading.Lock()
    running, most = 0, 0

    def slow(_argument: Json) -> None:
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        gate.wait(DEADLINE_S)
        with lock:
            running -= 1

    durable.register("slow", slow)
    durable.launch()
    for number in range(4):
        durable.start("slow", f"sync:{number}", {}, queue="sync")
    until(lambda: running == SYNC_LIMIT)
    gate.set()
    until(lambda: all(durable.status(f"sync:{n}") == "SUCCESS" for n in range(4)))
    assert most == SYNC_LIMIT


def test_a_failure_is_one_line_and_is_not_repeated(
    durable: Durable, capfd: pytest.CaptureFixture[str]
) -> None:
    calls = []

    def broken(argument: Json) -> None:
        calls.append(argument)
        raise ValueError("a text that stays out of the log")

    durable.register("broken", broken)
    durable.launch()
    durable.start("broken", "one", {})
    until(lambda: durable.status("one") == "ERROR")
    durable.start("broken", "one", {})
    printed = "".join(capfd.readouterr())
    assert len(calls) == 1
    assert "durable work broke" in printed
    assert "Traceback" not in printed
    assert "stays out" not in printed


def test_launching_says_nothing(durable: Durable, capfd: pytest.CaptureFixture[str]) -> None:
    durable.launch()
    assert "".join(capfd.readouterr()) == ""


def test_one_after_the_other_fits_in_a_process(settings: Settings, database: Database) -> None:
    for number in range(2):
        durable = Durable(settings, database)
        ran = threading.Event()
        durable.register("note", lambda _argument, ran=ran: ran.set())  # type: ignore[misc]
        durable.launch()
        durable.start("note", f"round:{number}", {})
        assert ran.wait(DEADLINE_S)
        durable.shutdown()
        durable.shutdown()


def test_misuse_is_said_in_words(durable: Durable, settings: Settings, database: Database) -> None:
    durable.register("note", lambda _argument: None)
    with pytest.raises(ConfigurationError, match="twice"):
        durable.register("note", lambda _argument: None)
    with pytest.raises(ConfigurationError, match="cannot be started"):
        durable.start("note", "early", {})
    durable.launch()
    with pytest.raises(ConfigurationError, match="cannot be started"):
        durable.start("unknown", "one", {})
    with pytest.raises(ConfigurationError, match="too late"):
        durable.register("late", lambda _argument: None)
    with pytest.raises(ConfigurationError, match="already running in this process"):
        Durable(settings, database).launch()


def run(folder: Path, url: str, mode: str) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "tests.durable_process", str(folder), url, mode]
    return subprocess.Popen(command, env={**os.environ, "PYTHONPATH": os.getcwd()})


def killed_and_restarted(folder: Path, url: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    first = run(folder, url, "block")
    until((folder / "begun").exists)
    first.send_signal(signal.SIGKILL)
    first.wait()
    assert not (folder / "effects").exists()
    second = run(folder, url, "go")
    assert second.wait(timeout=60) == 0
    assert (folder / "effects").read_text() == "höflich\n"


def test_a_killed_process_is_continued_by_the_next_start(tmp_path: Path) -> None:
    killed_and_restarted(tmp_path / "data", "")


def test_a_living_process_keeps_its_work(durable: Durable, settings: Settings) -> None:
    """A second process on the same folder (a command line beside the server) takes nothing over."""
    begun, gate, ran = threading.Event(), threading.Event(), []

    def work(argument: Json) -> None:
        begun.set()
        gate.wait(DEADLINE_S)
        ran.append(argument)

    durable.register("work", work)
    durable.launch()
    durable.start("work", "mine", {"text": "mine"})
    assert begun.wait(DEADLINE_S)
    other = run(settings.data_dir, "", "look")
    assert other.wait(timeout=60) == 0
    gate.set()
    until(lambda: durable.status("mine") == "SUCCESS")
    assert ran == [{"text": "mine"}]
    assert not (settings.data_dir / "effects").exists()


def test_the_same_on_postgresql(tmp_path: Path) -> None:
    with postgres() as url:
        killed_and_restarted(tmp_path / "data", url)


def test_a_living_process_takes_over_on_postgresql(tmp_path: Path) -> None:
    """Two processes share the server; one dies, and the other, launched before, continues its work at the next sweep."""
    with postgres() as url:
        settings = Settings(data_dir=tmp_path / "data", database_url=url)
        settings.data_dir.mkdir()
        database = Database(settings.database)
        survivor, ran = Durable(settings, database), threading.Event()
        survivor.register("work", lambda _argument: ran.set())
        survivor.launch()
        try:
            other = run(settings.data_dir, url, "block")
            until((settings.data_dir / "begun").exists)
            survivor.take_over()
            assert survivor.status("only-once") == "PENDING"
            assert not ran.is_set()
            other.kill()
            other.wait()
            until(lambda: _taken_over(survivor, ran))
        finally:
            survivor.shutdown()
            database.close()


def _taken_over(survivor: Durable, ran: threading.Event) -> bool:
    """The server notices a broken connection in its own time, so the sweep is asked for until it finds the lock free."""
    survivor.take_over()
    return ran.wait(0.2)
