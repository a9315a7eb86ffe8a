"""The built-in page and its JSON: what the tracker knows, for a browser, a script and Prometheus.
Read-only.

`access` says who may ask, `app` what is answered (both pure), `assets` holds the page's files,
`events` what open pages are told. `server` puts them on the network, and is the only import of
tornado.
"""

from .access import load_token
from .server import WebServer

__all__ = ["WebServer", "load_token"]
