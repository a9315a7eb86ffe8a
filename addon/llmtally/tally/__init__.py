"""Settles, keeps and shows the calls of one directory. Knows nothing of mitmproxy."""
