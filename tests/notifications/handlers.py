"""Handlers that tests run in processes of their own."""

import os
import signal
from typing import Any

import anyio


def train(context: Any, lr: float = 0.1) -> None:
    """A handler that works."""
    context.log_result("accuracy", 1 - lr)


def leaks(context: Any, lr: float = 0.1) -> None:
    """A handler that says its secret."""
    secret = context.get_secret("PASSWORD")
    assert secret == "canary-password", secret
    print("marker and", secret, lr)
    context.log_result("secret", secret)


def fails(context: Any) -> None:
    """A handler that raises, with its secret."""
    raise ValueError(f"no access with {context.get_secret('PASSWORD')}")


def dies(context: Any) -> None:
    """A handler whose process is killed."""
    os.kill(os.getpid(), signal.SIGKILL)


async def hangs(context: Any) -> None:
    """A handler that does not end by itself."""
    await anyio.sleep(60)
