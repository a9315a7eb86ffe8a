"""Settles, keeps and shows the calls of one directory. Knows nothing of mitmproxy.

`tally` is the one object per directory, and `observations` are all that it is told. `recorder`
completes a settled call and hands it on, `prices` says what it cost, `sink` feeds the journal, the
status file and `live_view`, which is the state and the page. `journal_page` is the page of a
journal that other processes write. `server` is the tally as a process, with which
proxies speak in the words of `protocol`.
"""
