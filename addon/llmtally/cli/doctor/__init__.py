"""`llmtally doctor`: one module for each thing that it checks; `examination` runs all of them."""
