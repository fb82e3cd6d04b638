"""The notebook that this process is the kernel of, if it is one. IPython is never imported for the question."""

import sys
from typing import Any


def notebook_display() -> Any:
    """The module IPython.display, None outside of a notebook."""
    shell = getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()
    if not hasattr(shell, "kernel"):
        return None
    from IPython import display

    return display
