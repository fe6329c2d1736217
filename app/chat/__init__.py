"""Conversations and the answers in progress: `Chats` reads and changes them, `TurnRunner` runs and shows turns."""

from app.chat.journal import Journal
from app.chat.live import LiveTurn, LiveView
from app.chat.runner import TurnRunner
from app.chat.store import Chats
from app.chat.views import ConversationView, TurnView

__all__ = ["Chats", "ConversationView", "Journal", "LiveTurn", "LiveView", "TurnRunner", "TurnView"]
