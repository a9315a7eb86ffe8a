"""What `llmtally run` is made of: certificates, environment, proxy, the client in the foreground,
and what it spent."""
