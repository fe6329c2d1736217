"""The composition root: settings in, every service out, each built once and only here.

`build` needs no event loop, so commands and tests use it too; `start` and `stop` begin and end what runs by itself.
"""

from __future__ import annotations

import asyncio
import contextlib
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field

from app.access.policy import Policy
from app.access.sensitive import Screen
from app.actions import ActionDesk
from app.budgets import Budgets, TeamBudgets
from app.chat import Chats, Journal, TurnRunner
from app.data_folder import DataFolder
from app.db import Database, migrate
from app.durable import Durable
from app.errors import ConfigurationError
from app.identity import Identity
from app.knowledge.documents import Documents
from app.knowledge.embed import Embedder, load_embedder
from app.knowledge.index import VectorIndex, open_index
from app.knowledge.search import Search
from app.knowledge.sync import Sync
from app.outgoing import VARIABLES
from app.prompts import PromptLibrary
from app.records import Ledger
from app.rehearsal import Rehearsals
from app.routing import Catalogue, Intents, RoutingTable
from app.routing.cards import ALIASES
from app.routing.difficulty.learned import LearnedScores
from app.routing.relay import Patience
from app.routing.swaps import CanaryWatch, RouteVersions
from app.settings import Settings
from app.stages import Stages
from app.usage import Reports, RollUps

POOL_THREADS = 8
INTERRUPTED_AFTER_S = 15.0


@dataclass(frozen=True)
class Services:
    """Every room's service, by the room's name."""

    settings: Settings
    database: Database
    ledger: Ledger
    identity: Identity
    policy: Policy
    screen: Screen
    embedder: Embedder
    index: VectorIndex
    search: Search
    documents: Documents
    sync: Sync
    durable: Durable
    intents: Intents
    versions: RouteVersions
    canary_watch: CanaryWatch
    rehearsals: Rehearsals
    difficulty: LearnedScores
    catalogue: Catalogue
    prompts: PromptLibrary
    budgets: Budgets
    actions: ActionDesk
    chats: Chats
    turns: TurnRunner
    rollups: RollUps
    usage: Reports
    team_budgets: TeamBudgets
    journal: Journal
    pool: ThreadPoolExecutor
    folder: DataFolder = field(repr=False)

    @property
    def table(self) -> RoutingTable:
        """The routing table in force, with what admins published."""
        return self.intents.table()

    def stages(self) -> Stages:
        """What a turn is made of."""
        return Stages(
            embedder=self.embedder,
            intents=self.intents.now,
            versions=self.versions,
            difficulty=self.difficulty,
            search=self.search,
            catalogue=self.catalogue,
            policy=self.policy,
            screen=self.screen,
            prompts=self.prompts,
            actions=self.actions,
            budgets=self.budgets,
            in_pool=self.turns.in_pool,
            before_model=self.journal.before_model,
            patience=Patience(
                self.settings.first_token_timeout_s,
                self.settings.silence_timeout_s,
                self.settings.hedge,
                self.prompts.render("continuation").messages[0].content,
            ),
        )

    def start(self, loop: asyncio.AbstractEventLoop) -> None:
        """Begins what runs by itself: durable work, syncs on their clocks, roll-ups, and turns on `loop`."""
        stale_s = 0.0 if self.database.is_sqlite else INTERRUPTED_AFTER_S
        self.journal.interrupt_running(older_than_s=stale_s)
        self.budgets.reservations.sweep(all_held=self.database.is_sqlite)
        self.rehearsals.runs.interrupt_stale(all_running=self.database.is_sqlite)
        self.chats.purge()
        self.turns.attach(loop, self.stages())
        self.durable.launch()
        self.rollups.start()
        self.intents.start()
        self.budgets.sweep.start()
        self.canary_watch.start()
        self.difficulty.start()
        self.sync.start_schedule()

    async def stop(self) -> None:
        """Ends it in reverse; running answers keep what had arrived."""
        await self.turns.drain(5.0)
        await self.rehearsals.drain(5.0)
        await self.catalogue.close()
        await asyncio.to_thread(self._stop_threads)

    def close(self) -> None:
        """Gives back the index, the database and the data folder."""
        self.index.close()
        self.pool.shutdown(wait=False, cancel_futures=True)
        self.database.close()
        self.folder.close()

    def _stop_threads(self) -> None:
        self.sync.stop_schedule()
        self.sync.live.close()
        self.rollups.stop()
        self.intents.stop()
        self.budgets.sweep.stop()
        self.canary_watch.stop()
        self.difficulty.stop()
        self.durable.shutdown()


def build(settings: Settings) -> Services:
    """Takes the data folder, migrates the database and builds every service.

    Raises AlreadyRunning when another process owns the data folder and ConfigurationError for settings that cannot work.
    """
    if settings.demo_issuer and settings.listens_beyond_loopback:
        raise ConfigurationError(
            f"The demo sign-in needs no password, so it is refused on {settings.host}.",
            fix="Set SWITCHBOARD_OIDC_ISSUER to your identity provider, or listen on 127.0.0.1.",
        )
    with contextlib.ExitStack() as undo:
        folder = DataFolder(settings.data_dir).acquire(settings.address)
        undo.callback(folder.close)
        pool = ThreadPoolExecutor(POOL_THREADS, thread_name_prefix="turn")
        undo.callback(pool.shutdown)
        embedder_later = pool.submit(load_embedder)
        database = Database(settings.database)
        undo.callback(database.close)
        migrate(database)
        services = _assemble(settings, folder, pool, database, embedder_later)
        undo.pop_all()
        return services


def _assemble(
    settings: Settings,
    folder: DataFolder,
    pool: ThreadPoolExecutor,
    database: Database,
    embedder_later: Future[Embedder],
) -> Services:
    ledger = Ledger(database)
    policy = Policy()
    identity = Identity.build(settings, database, ledger)
    durable = Durable(settings, database)
    index = open_index(settings)
    prompts = PromptLibrary()
    embedder = embedder_later.result()
    catalogue = Catalogue(settings, database, ledger, embedder.documents)
    intents = Intents(
        database, ledger, RoutingTable.load(), embedder.documents, settings.data_dir / "cache"
    )
    names = RouteNames(catalogue, prompts)
    versions = RouteVersions(database, ledger, intents.table, names)
    sync = Sync(database, ledger, index, embedder, identity.directory, durable, settings)
    journal = Journal(database, ledger)
    rollups = RollUps(database)
    turns = TurnRunner(journal, pool)
    budgets = Budgets.build(database, ledger, settings.zone)
    usage = Reports(database, policy, ledger, rollups)
    return Services(
        settings=settings,
        database=database,
        ledger=ledger,
        identity=identity,
        policy=policy,
        screen=Screen(),
        embedder=embedder,
        index=index,
        search=Search(
            database, index, embedder, live=sync.live, first_sync=sync.first_syncs.under_way
        ),
        documents=Documents(database, ledger, live=sync.live),
        sync=sync,
        durable=durable,
        intents=intents,
        versions=versions,
        canary_watch=CanaryWatch(database, versions),
        rehearsals=Rehearsals(
            database, ledger, versions, turns, identity.accounts.person, intents.vectors
        ),
        difficulty=LearnedScores(database, ledger, versions.foreseen, embedder.query),
        catalogue=catalogue,
        prompts=prompts,
        budgets=budgets,
        actions=ActionDesk(database, ledger, policy, durable, identity.accounts, settings),
        chats=Chats(database, ledger),
        turns=turns,
        rollups=rollups,
        usage=usage,
        team_budgets=TeamBudgets(budgets.book, usage),
        journal=journal,
        pool=pool,
        folder=folder,
    )


@dataclass(frozen=True)
class RouteNames:
    """What a version of a route may name: the catalogue's models and aliases, the prompts and their versions."""

    catalogue: Catalogue
    library: PromptLibrary

    def models(self) -> list[str]:
        return [*ALIASES, *(card.id for card in self.catalogue.cards() if card.id not in ALIASES)]

    def prompts(self) -> list[str]:
        """Those that a turn can fill in; the others are parts, or for other uses."""
        found = [v for versions in self.library.versions.values() for v in versions]
        usable = [v for v in found if v.variables == VARIABLES]
        return [*dict.fromkeys(v.name for v in usable), *(f"{v.name}@{v.version}" for v in usable)]


class _Current:
    """Streamlit runs page scripts by path, so they cannot be handed anything: they ask here."""

    services: Services | None = None


def use(services: Services | None) -> None:
    """Names the services that pages of this process work with."""
    _Current.services = services


def current() -> Services:
    """Raises ConfigurationError outside a running server."""
    if _Current.services is None:
        raise ConfigurationError(
            "No Switchboard server runs in this process.", fix="Start it with `make run`."
        )
    return _Current.services
