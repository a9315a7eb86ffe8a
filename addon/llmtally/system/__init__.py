"""This machine: files that other programs read, and processes that send requests."""
