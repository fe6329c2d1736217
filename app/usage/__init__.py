"""Who uses Switchboard, how much, and how well it answers: facts, their roll-ups, and reports over the roll-ups.

`facts` writes one row for each finished turn or action inside the transaction that finishes it, `rollups` turns the rows
into sums, and `reports` reads only the sums, after the policy has said whose numbers the viewer may see.
"""

from app.usage.reports import Reports
from app.usage.rollups import RollUps
from app.usage.rows import Figures, Report, UsageRow, csv_text

__all__ = ["Figures", "Report", "Reports", "RollUps", "UsageRow", "csv_text"]
