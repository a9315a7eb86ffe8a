"""A fake of every provider, on loopback, and the means to reach it through a real mitmdump.

`server.py` listens; `http1.py`, `http2.py` and `websocket.py` speak; `handler.py` says what a test
writes to answer a request and `answers.py` helps to write it. `proxy.py` runs mitmdump, and
`redirect.py` (loaded into it) leads all its connections here.
"""
