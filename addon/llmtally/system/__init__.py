"""This machine: files that other programs read, and the processes that send requests."""
