"""What all tests share: one event loop backend, and hypothesis profiles that do not depend on the machine's speed."""

import os

import pytest
from hypothesis import HealthCheck, settings

# No deadlines: two busy cores must not turn a true promise into a failure. The per-test timeout is in pyproject.toml.
settings.register_profile("default", deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture])
settings.register_profile("long", settings.get_profile("default"), max_examples=2000, stateful_step_count=100)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "default"))


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    """All async tests run on asyncio: aiohttp and aiosqlite know no other loop."""
    return "asyncio"


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """No setting of the machine leaks into a test."""
    for name in [n for n in os.environ if n.startswith("TRACKER_")]:
        monkeypatch.delenv(name)
