"""`llmtally doctor`: one module for each place it looks at; `examination` looks at all of them."""
