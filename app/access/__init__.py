"""Who may see, use, do, approve and administer. `readers` is the SQL truth about documents, `Policy` is Cedar's answer to
everything else; every decision carries its reason, and no rule means no.
"""

from app.access.policy import Policy, require
from app.access.readers import readable

__all__ = ["Policy", "readable", "require"]
