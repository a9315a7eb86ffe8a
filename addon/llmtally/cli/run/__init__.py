"""`llmtally run`: `command` finds or starts a `proxy`, makes the client's `environment` with the
files of `trust` and maybe `base_urls`, and runs the client in the `foreground`."""
