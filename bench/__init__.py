"""What the addon costs: `scripts/bench`.

One module a section (`tap`, `hooks`, `proxy`, `bodies`, `live`, `reporting`): each has a
`run(plan)` that gives a table and the goals it can judge. A further section is one more such
module, listed in `__main__`. The rest is tools: `traffic` makes the bytes, `load` is a lean HTTP
client and server, `mitmdump` a process under test, `stats` and `report` are the arithmetic and the
printing.
"""
