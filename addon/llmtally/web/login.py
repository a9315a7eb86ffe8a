"""The login page: the only one that is shown without a login. It asks for the token, and its style
is inline."""

from __future__ import annotations

import base64
import hashlib

_STYLE = """
:root { color-scheme: light dark; font: 1rem/1.5 system-ui, sans-serif; }
body { max-width: 28rem; margin: 20vh auto; padding: 0 1rem; }
label { display: block; margin-bottom: .25rem; }
input { box-sizing: border-box; width: 100%; padding: .5rem; margin-bottom: .75rem; font: inherit; }
button { padding: .5rem 1rem; font: inherit; }
"""

_STYLE_HASH = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()


def _page(notice: str) -> bytes:
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>llmtally: log in</title>
<style>{_STYLE}</style>
</head>
<body>
<main>
<h1>llmtally</h1>
{notice}
<form method="post" action="/login">
<label for="token">Token</label>
<input id="token" name="token" type="password" autocomplete="current-password" required autofocus>
<button>Log in</button>
</form>
<p>Open the address that was printed at the start: it contains the token. A proxy's token is also in
the file <code>web-token</code> in <code>usage_dir</code>. Already logged in?
<a href="/">Go to the page.</a></p>
</main>
</body>
</html>
""".encode()


ASK = _page("")
REFUSE = _page('<p role="alert"><strong>Wrong token.</strong></p>')

HEADERS = (
    ("Content-Type", "text/html; charset=utf-8"),
    (
        "Content-Security-Policy",
        (
            f"default-src 'none'; style-src 'sha256-{_STYLE_HASH}'; frame-ancestors 'none'; "
            "base-uri 'none'; form-action 'self'"
        ),
    ),
    # With no-referrer, browsers send the form with `Origin: null`, which does not distinguish our
    # page from others.
    ("Referrer-Policy", "same-origin"),
)
