"""Fixtures for all tests of the kit."""

from collections.abc import Iterator

import pytest

from chalicekit.emulator.on_demand import EmulatedAws


@pytest.fixture(scope="session")
def aws() -> Iterator[str]:
    """The URL of an emulated AWS, which starts with the first request."""
    with EmulatedAws() as emulated:
        yield emulated.url
