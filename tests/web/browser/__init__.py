"""The page in a real Chromium, served by a real mitmdump with real traffic."""
