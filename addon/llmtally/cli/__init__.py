"""One module or package per command: its options, its help and what it prints. The work is done by
the modules that it imports when it runs."""
