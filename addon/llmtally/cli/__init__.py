"""One module a command: what it takes and what it prints. What it does is in the module that it
imports when it runs."""
