"""All that runs inside mitmdump, and the only import of mitmproxy.

`hooks` is the addon. `flow_observer` follows flows with a `tap` on their bodies, reads them as
`flows` says, and hands their calls to the tally, whose answers `call_lines` shows. `quotas`,
`tunnels`, `runs` and `announcer` each take a hook or two; `scheduler` runs what can wait, and
`guard` keeps errors from the traffic. `options` and `commands` are what users set and call.
"""

from .hooks import UsageAddon

__all__ = ["UsageAddon"]
