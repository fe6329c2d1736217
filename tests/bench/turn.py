"""What Switchboard adds to a model's own time: first token, total, CPU, memory, start-up, by API and through the page.

    python -m tests.bench.turn [--chunks 10000] [--corpus F.jsonl] [--questions F.txt] [--work FOLDER]

A scripted model answers over real HTTP (OpenAI's wire format). Its own times, measured directly by the same client at the
same number of clients, are printed beside; `ttft` and `total` are medians less the model's own median at one client. The
API runs stream `--tokens` chunks without delay, the page runs with `--delay-ms` a token. N at once means N clients in a
closed loop: each asks its next question when its last is answered. Client, model and server share the machine.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from tests.bench.corpus import notes, questions
from tests.bench.processes import cpu_seconds, free_port, process, rss_mb, wait_for
from tests.bench.stream_client import Timing, closed_loop

HOST = "127.0.0.1"
ASKER = "bench@example.test"


def main() -> None:
    options = arguments()
    work = options.work or Path(tempfile.mkdtemp(prefix="switchboard-bench-"))
    work.mkdir(parents=True, exist_ok=True)
    data = prepare(work, options.chunks, options.corpus)
    key = make_key(data)
    figures = run(options, work, data, key)
    table(figures)
    if options.work is None:
        shutil.rmtree(work)
    print(json.dumps(figures))


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--chunks", type=int, default=10_000)
    parser.add_argument("--corpus", type=Path, help="JSON lines with title and text")
    parser.add_argument("--questions", type=Path, help="text, one question a line")
    parser.add_argument("--tokens", type=int, default=40, help="chunks in an answer")
    parser.add_argument("--delay-ms", type=float, default=10.0, help="between tokens, page runs")
    parser.add_argument("--requests", type=int, default=200, help="API chats at each level")
    parser.add_argument("--chats", type=int, default=20, help="page chats at one at once")
    parser.add_argument("--work", type=Path, help="keep the index here and use it again")
    parser.add_argument("--skip-page", action="store_true")
    return parser.parse_args()


def prepare(work: Path, chunks: int, corpus: Path | None) -> Path:
    """A data folder with `chunks` indexed notes that everyone may read. Reused when it is already there."""
    data = work / "data"
    done = work / "prepared"
    if done.exists() and done.read_text() == f"{chunks} {corpus}":
        return data
    print(f"Indexing {chunks} notes…", file=sys.stderr)
    source = work / "notes"
    shutil.rmtree(source, ignore_errors=True)
    shutil.rmtree(data, ignore_errors=True)
    source.mkdir()
    (source / "access.toml").write_text('[access]\neveryone = true\ndata_class = "internal"\n')
    for number, note in enumerate(notes(chunks, corpus)):
        (source / f"{number:06}.md").write_text(f"# {note.title}\n\n{note.text}\n")
    subprocess.run(
        [sys.executable, "-m", "tests.bench.prepare", str(data), str(source), ASKER], check=True
    )
    done.write_text(f"{chunks} {corpus}")
    return data


def make_key(data: Path) -> str:
    out = subprocess.run(
        [sys.executable, "-m", "app", "key", "create", "--user", ASKER, "--days", "1"],
        env=environment(data, free_port(), free_port()),
        check=True,
        capture_output=True,
        text=True,
    )
    return out.stdout.splitlines()[0]


def environment(data: Path, port: int, model_port: int) -> dict[str, str]:
    import os

    return {
        **os.environ,
        "SWITCHBOARD_DATA_DIR": str(data),
        "SWITCHBOARD_PORT": str(port),
        "SWITCHBOARD_COMPATIBLE_BASE_URL": f"http://{HOST}:{model_port}/v1",
        "SWITCHBOARD_COMPATIBLE_MODELS": "scripted",
        "SWITCHBOARD_API_REQUESTS_PER_MINUTE": "1000000",
        "SWITCHBOARD_LOG_LEVEL": "WARNING",
        "OPENAI_API_KEY": "",
        "ANTHROPIC_API_KEY": "",
    }


def run(options: argparse.Namespace, work: Path, data: Path, key: str) -> dict[str, Any]:
    with ExitStack() as stack:
        fast = model_server(stack, work, options.tokens, 0.0)
        figures: dict[str, Any] = {"api": {}, "page": {}, "errors": 0}
        own = asyncio.run(measure_model(fast, options))
        server, port, figures["startup_s"] = desk(stack, work, data, fast)
        figures["model_own_ms"] = {"ttft": own.first_ms, "total": own.total_ms}
        headers = f"Authorization: Bearer {key}\r\n"
        warm = questions(20, seed=1)
        asyncio.run(closed_loop(HOST, port, headers, "auto", warm, 2))
        for at_once in (1, 10, 50):
            asked = questions(options.requests, options.questions, seed=at_once)
            before = cpu_seconds(server)
            timings, took = asyncio.run(closed_loop(HOST, port, headers, "auto", asked, at_once))
            cpu_ms = (cpu_seconds(server) - before) / len(timings) * 1000
            figures["api"][str(at_once)] = summary(timings, own)
            figures["errors"] += sum(bool(t.error) for t in timings)
            report_errors(timings)
            if at_once == 1:
                figures["api_cpu_ms"] = round(cpu_ms, 2)
            if at_once == 50:
                figures["rps"] = round(len(timings) / took, 1)
        figures["rss_mb"] = round(rss_mb(server))
    if not options.skip_page:
        with ExitStack() as stack:
            measure_page(stack, options, work, data, figures)
    return figures


def measure_page(
    stack: ExitStack,
    options: argparse.Namespace,
    work: Path,
    data: Path,
    figures: dict[str, Any],
) -> None:
    from tests.bench.page_client import page_loop

    slow = model_server(stack, work, options.tokens, options.delay_ms)
    own = asyncio.run(measure_model(slow, options))
    server, port, _ = desk(stack, work, data, slow)
    asyncio.run(page_loop(port, questions(3, seed=2), 1, float))
    for at_once in (1, 50):
        count = options.chats if at_once == 1 else at_once * 2
        asked = questions(count, options.questions, seed=100 + at_once)
        timings, spent = asyncio.run(page_loop(port, asked, at_once, lambda: cpu_seconds(server)))
        cpu_ms = spent / len(timings) * 1000
        figures["page"][str(at_once)] = summary(timings, own)
        figures["errors"] += sum(bool(t.error) for t in timings)
        report_errors(timings)
        if at_once == 1:
            figures["page_cpu_ms"] = round(cpu_ms, 2)
    figures["rss_mb"] = max(figures["rss_mb"], round(rss_mb(server)))


def model_server(stack: ExitStack, work: Path, tokens: int, delay_ms: float) -> int:
    port = free_port()
    log = work / f"model-{port}.log"
    child = stack.enter_context(
        process(
            [
                *("-m", "app.llm.scripted_server", "--port", str(port)),
                *("--tokens", str(tokens), "--delay-ms", str(delay_ms)),
            ],
            {},
            log,
        )
    )
    wait_for(f"http://{HOST}:{port}/v1/models", child, log)
    return port


def desk(stack: ExitStack, work: Path, data: Path, model_port: int) -> tuple[int, int, float]:
    """A running Switchboard: process id, port, seconds from start to the first healthy page."""
    port = free_port()
    log = work / "server.log"
    child = stack.enter_context(
        process(["-m", "app", "serve"], environment(data, port, model_port), log)
    )
    waited = wait_for(f"http://{HOST}:{port}/readyz", child, log)
    waited += wait_for(f"http://{HOST}:{port}/", child, log)
    return child.pid, port, round(waited, 2)


async def measure_model(port: int, options: argparse.Namespace) -> Timing:
    timings, _ = await closed_loop(HOST, port, "", "scripted", questions(30, seed=3), 1)
    report_errors(timings)
    del options
    return Timing(
        statistics.median(t.first_ms for t in timings),
        statistics.median(t.total_ms for t in timings),
    )


def summary(timings: Sequence[Timing], own: Timing) -> dict[str, float]:
    good = [t for t in timings if not t.error]
    first = sorted(t.first_ms - own.first_ms for t in good)
    total = [t.total_ms - own.total_ms for t in good]
    return {
        "ttft_p50_ms": round(statistics.median(first), 1),
        "ttft_p95_ms": round(first[int(len(first) * 0.95) - 1], 1),
        "total_p50_ms": round(statistics.median(total), 1),
    }


def report_errors(timings: Sequence[Timing]) -> None:
    for error in sorted({t.error for t in timings if t.error})[:3]:
        print(f"error: {error}", file=sys.stderr)


def table(figures: dict[str, Any]) -> None:
    print(f"{'':12}{'at once':>8}{'first p50':>12}{'first p95':>12}{'total p50':>12}   (ms)")
    for channel in ("api", "page"):
        for at_once, row in figures[channel].items():
            print(
                f"{channel:12}{at_once:>8}{row['ttft_p50_ms']:>12}{row['ttft_p95_ms']:>12}"
                f"{row['total_p50_ms']:>12}"
            )
    for name in ("rps", "api_cpu_ms", "page_cpu_ms", "rss_mb", "startup_s", "errors"):
        if name in figures:
            print(f"{name:12}{figures[name]:>8}")


if __name__ == "__main__":
    main()
