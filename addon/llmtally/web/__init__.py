"""The built-in page and its JSON: what the tracker knows, for browsers, scripts and Prometheus.
Read-only.

`access` decides who may ask and `app` what is answered (neither does I/O), `assets` holds the
page's files, `events` feeds open pages and `metrics` writes the text for Prometheus. `server` puts
them on the network and is the only module that imports tornado.
"""

from .access import load_token
from .server import WebServer

__all__ = ["WebServer", "load_token"]
