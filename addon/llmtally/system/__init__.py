"""What concerns this machine: files that other programs read, and processes that send requests."""
