"""The glue, and the only import of mitmproxy: `hooks` follows flows, `flows` reads them; `options`, `commands` are for people."""

from .hooks import UsageAddon

__all__ = ["UsageAddon"]
