"""Switchboard: one chat desk for a whole company. Start reading at `app/turn.py`, then `app/wiring.py`."""
