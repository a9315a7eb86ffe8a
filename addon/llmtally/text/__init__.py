"""Text for people: figures, times, lines, tables, and what makes text off the wire safe to
print."""
