"""An AWS that runs on this machine: MiniStack, made as strict as AWS.

The modules follow AWS's documentation and responses that others have recorded; nothing was compared
with AWS itself. What remains different is in the kit's README, "What the emulated AWS does not do".

Importing `apigateway`, `functions` or `permissions` replaces the functions of MiniStack 1.5.33 that
`@replaces` names there. They depend on its internals.
"""

from collections.abc import Callable
from functools import partial
from types import ModuleType
from typing import Any

Original = Callable[..., Any]


def replaces(module: ModuleType, name: str) -> Callable[[Original], Original]:
    """Put the decorated function in the place of `module.name`.

    The decorated function gets the original as its first argument.
    """
    original = getattr(module, name)

    def replace(function: Original) -> Original:
        setattr(module, name, partial(function, original))
        return function

    return replace
