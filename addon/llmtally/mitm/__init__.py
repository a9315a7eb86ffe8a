"""The glue, and the only import of mitmproxy.

`hooks` is the addon. `following` follows flows, as `flows` reads them, and `recorder` takes their
calls in; `quotas`, `tunnels`, `runs` and `announcer` each take a hook or two; `options` and
`commands` are for people.
"""

from .hooks import UsageAddon

__all__ = ["UsageAddon"]
