"""All that runs inside mitmdump, and the only import of mitmproxy.

`hooks` is the addon. `flow_observer` follows flows with a `tap` on their bodies, reads their heads
as `flows` says, and tells the tally by a `carrier`
(`link`, if the tally is another process); `call_lines` shows what that answers. `quotas`,
`tunnels`, `runs` and `announcer` each take a hook or two; `scheduler` runs what can wait, and
`guard` keeps errors from the traffic. `options` and `commands` are what users set and call.
"""

from .hooks import UsageAddon

__all__ = ["UsageAddon"]
