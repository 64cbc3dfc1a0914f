"""Calls of hooks, each with the time that it took."""

import time

from pluggy import PluginManager
from pluggy._callers import _multicall


def traced(manager: PluginManager, tell) -> None:
    """Lets `tell` know how many seconds each hook took, whatever becomes of the call."""

    def call(hook_name, methods, caller_kwargs, firstresult):
        begun = time.monotonic()
        try:
            return _multicall(hook_name, methods, caller_kwargs, firstresult)
        finally:
            tell(hook_name, time.monotonic() - begun)

    manager._inner_hookexec = call
