"""Whether calls are counted exactly, under load and when processes die: `scripts/soak`.

A client and a fake provider in this process talk through real mitmdumps that load the addon. Each
call has a number, from which both ends and the check derive what it looks like and which counts the
journal must have (`calls`, `answers`). The addon is looked at from outside only: mitmdump's command
line, the journal's files, the page's JSON, /metrics, and what the system says of the processes.

One module an examination (`run`, `crash`, `hostile`, `agree`): each has a function that gives
tables and goals as `bench` prints them. The rest is tools: `peers` and `sockets` are the two ends,
`load` drives them, `proxies` starts mitmdumps, `ledger` compares journal and calls, `processes`
reads memory and descriptors, `readers` asks page, metrics, status line and report.
"""
