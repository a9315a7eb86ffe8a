"""Attribution: one fixture per client and kind of request in `tests/attribution/clients/`, and
the rules between requests."""

from __future__ import annotations

import hmac
import json
import time
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmtally.attribution import Attributor, RequestView, attributor
from llmtally.attribution.attributor import SESSION_GAP
from llmtally.attribution.clients import CLIENTS
from llmtally.attribution.conversation import PREFIX_MESSAGES, conversation_hashes
from llmtally.attribution.credentials import read_credential
from llmtally.record import TEXT_CAP, Attribution
from llmtally.wire import json_members
from llmtally.wire.json_members import WORTHWHILE

KEY = b"a test's key"
FIXTURES = sorted(Path(__file__).with_name("clients").glob("*.json"))
NOW = 1_763_660_000.0


def view(
    url: str,
    headers: dict[str, str] | None = None,
    body: Any = None,
    peer: str | None = "connection-1",
) -> RequestView:
    parts = urlsplit(url)
    return RequestView(
        "any",
        parts.hostname or "",
        parts.path,
        headers or {},
        body,
        dict(parse_qsl(parts.query)),
        peer,
    )


def chat(*texts: str, **headers: str) -> RequestView:
    """A chat request whose texts are the user's and the model's by turns."""
    messages = [
        {"role": "assistant" if i % 2 else "user", "content": text} for i, text in enumerate(texts)
    ]
    return view(
        "https://api.openai.com/v1/chat/completions",
        {"user-agent": "OpenAI/Python 3.52.0", **headers},
        {"messages": messages},
    )


def account_hash(identity: str) -> str:
    return hmac.digest(KEY, identity.encode(), "sha256").hex()[:12]


@pytest.mark.parametrize("path", FIXTURES, ids=lambda path: path.stem)
def test_client(path: Path) -> None:
    """What a real client sends is attributed as its fixture says, field for field; inferred session
    ids are only named."""
    case = json.loads(path.read_text())
    found = Attributor(KEY).attribute(view(case["url"], case["headers"], case.get("body")), now=NOW)
    said = {name: value for name, value in found._asdict().items() if value is not None}
    account = said.pop("account", None)
    if found.session_source in ("prefix", "connection"):
        assert said.pop("session")
    assert said == case["expect"]
    assert account == (account_hash(case["account_of"]) if "account_of" in case else None)


def test_every_row_has_a_fixture() -> None:
    """Every client in the table is proved by a recorded request."""
    proved = {json.loads(path.read_text())["expect"]["client"] for path in FIXTURES}
    assert {client.name for client in CLIENTS} <= proved


def test_no_product_belongs_to_two_clients() -> None:
    """A User-Agent leads to one row."""
    products = [product for client in CLIENTS for product in client.products]
    assert len(products) == len(set(products))


class TestSession:
    def test_a_session_header_set_by_the_user_goes_before_the_clients_own(self) -> None:
        """`X-Session-Id` is put there on purpose."""
        found = Attributor(KEY).attribute(
            view(
                "https://api.anthropic.com/v1/messages",
                {"x-claude-code-session-id": "own", "x-session-id": "mine"},
            ),
            now=NOW,
        )
        assert (found.session, found.session_source) == ("mine", "header")

    def test_previous_response_links(self) -> None:
        """A request that continues from a response belongs to that response's session."""
        attributor = Attributor(KEY)
        attributor.answered("resp_1", "s-1")
        found = attributor.attribute(
            view(
                "https://h/v1/responses", {}, {"input": "go on", "previous_response_id": "resp_1"}
            ),
            now=NOW,
        )
        assert (found.session, found.session_source) == ("s-1", "previous_response")

    def test_unknown_previous_response_is_a_session_of_its_own(self) -> None:
        """After a restart two conversations that both say `go on` are still kept apart."""
        attributor = Attributor(KEY)
        sessions = {
            attributor.attribute(
                view(
                    "https://h/v1/responses", {}, {"input": "go on", "previous_response_id": name}
                ),
                now=NOW,
            ).session
            for name in ("resp_1", "resp_2")
        }
        assert len(sessions) == 2

    def test_a_longer_conversation_is_the_same_session(self) -> None:
        """A request that begins with a known conversation continues it."""
        attributor = Attributor(KEY)
        first = attributor.attribute(chat("hi"), now=NOW)
        second = attributor.attribute(chat("hi", "hello", "and now?"), now=NOW + 9_999)
        third = attributor.attribute(chat("hi", "hello", "and now?", "so", "thanks"), now=NOW)
        assert first.session == second.session == third.session
        assert first.session_source == "prefix"

    def test_a_branch_stays_in_its_session(self) -> None:
        """Editing the last message goes back to the longest known prefix."""
        attributor = Attributor(KEY)
        start = attributor.attribute(chat("hi"), now=NOW)
        attributor.attribute(chat("hi", "hello", "first try"), now=NOW)
        assert (
            attributor.attribute(chat("hi", "hello", "second try"), now=NOW).session
            == start.session
        )

    def test_a_shared_template_is_no_link(self) -> None:
        """Conversations that start with the same example, but were never seen at that point, are
        different."""
        attributor = Attributor(KEY)
        one = attributor.attribute(chat("example", "answer", "question one"), now=NOW)
        two = attributor.attribute(chat("example", "answer", "question two"), now=NOW)
        assert one.session != two.session

    def test_the_longest_prefix_counts(self) -> None:
        """A conversation continues the one with which it shares most, not the first that starts
        alike."""
        attributor = Attributor(KEY)
        longer = attributor.attribute(chat("example", "answer", "question"), now=NOW)
        attributor.attribute(chat("example"), now=NOW)
        assert (
            attributor.attribute(
                chat("example", "answer", "question", "so", "thanks"), now=NOW
            ).session
            == longer.session
        )

    def test_accounts_do_not_share_conversations(self) -> None:
        """Two people saying `hi` are two sessions."""
        attributor = Attributor(KEY)
        sessions = {
            attributor.attribute(chat("hi", authorization=f"Bearer sk-{who}"), now=NOW).session
            for who in "ab"
        }
        assert len(sessions) == 2

    @pytest.mark.parametrize(
        ("first", "later"),
        [
            pytest.param(
                {"messages": [{"role": "user", "content": "hi"}]},
                {
                    "messages": [
                        {
                            "role": "user",
                            "content": [
                                {
                                    "type": "text",
                                    "text": "hi",
                                    "cache_control": {"type": "ephemeral"},
                                }
                            ],
                        },
                        {
                            "role": "assistant",
                            "content": [{"type": "thinking", "thinking": "..", "signature": "x"}],
                        },
                        {"role": "user", "content": "more"},
                    ]
                },
                id="anthropic_cache_control_moves",
            ),
            pytest.param(
                {
                    "messages": [
                        {"role": "system", "content": "It is 10:00."},
                        {"role": "user", "content": "hi"},
                    ]
                },
                {
                    "messages": [
                        {"role": "system", "content": "It is 10:05."},
                        {"role": "user", "content": "hi"},
                        {"role": "assistant", "content": "hello"},
                        {"role": "user", "content": "more"},
                    ]
                },
                id="chat_system_prompt_has_the_time",
            ),
            pytest.param(
                {"input": [{"role": "user", "content": [{"type": "input_text", "text": "hi"}]}]},
                {
                    "input": [
                        {"role": "user", "content": [{"type": "input_text", "text": "hi"}]},
                        {"type": "reasoning", "encrypted_content": "x"},
                        {"type": "function_call", "name": "ls", "arguments": "{}", "call_id": "c1"},
                        {"type": "function_call_output", "call_id": "c1", "output": "a b"},
                    ]
                },
                id="responses",
            ),
            pytest.param(
                {"contents": [{"role": "user", "parts": [{"text": "hi"}]}]},
                {
                    "contents": [
                        {"role": "user", "parts": [{"text": "hi"}]},
                        {"role": "model", "parts": [{"text": "hello", "thoughtSignature": "x"}]},
                        {"role": "user", "parts": [{"text": "more"}]},
                    ]
                },
                id="gemini",
            ),
        ],
    )
    def test_prefix_in_every_dialect(self, first: Any, later: Any) -> None:
        """The conversation is followed through what clients rewrite in it, in each API's shape."""
        attributor = Attributor(KEY)
        found = [
            attributor.attribute(view("https://h/v1/any", {}, body), now=NOW)
            for body in (first, later)
        ]
        assert found[0].session == found[1].session
        assert {one.session_source for one in found} == {"prefix"}

    def test_templates_that_differ_at_the_end(self) -> None:
        """A long message is hashed at both ends."""
        attributor = Attributor(KEY)
        sessions = {attributor.attribute(chat("x" * 50_000 + end), now=NOW).session for end in "ab"}
        assert len(sessions) == 2

    def test_a_conversation_longer_than_the_cap_is_followed(self) -> None:
        """Beyond the messages that are hashed a conversation is still itself."""
        attributor = Attributor(KEY)
        texts = [f"message {i}" for i in range(4 * PREFIX_MESSAGES)]
        assert (
            attributor.attribute(chat(*texts), now=NOW).session
            == attributor.attribute(chat(*texts, "a", "b"), now=NOW).session
        )

    def test_work_on_endless_input_is_bounded(self) -> None:
        """Neither many messages, nor big ones, nor deep ones make hashing endless."""
        deep: Any = "x"
        for _ in range(900):
            deep = [deep]
        messages = [{"role": "user", "content": "y" * 100_000}] * 10_000 + [
            {"role": "user", "content": deep}
        ]
        hashes = conversation_hashes(b"k", "", messages)
        assert 0 < len(hashes) <= PREFIX_MESSAGES

    def test_connection_and_silence(self) -> None:
        """Where there is no conversation, a connection is a session until it falls silent for
        long."""
        attributor = Attributor(KEY)

        def session(peer: str, now: float) -> str | None:
            request = view("https://h/v1/embeddings", {"user-agent": "x/1"}, {"input": ["a"]}, peer)
            found = attributor.attribute(request, now=now)
            assert found.session_source == "connection"
            return found.session

        start = session("p", NOW)
        assert session("p", NOW + SESSION_GAP) == start
        assert session("q", NOW) != start
        assert session("p", NOW + 2 * SESSION_GAP + 1) != start

    def test_nothing_known(self) -> None:
        """The session is unknown without a header, a body or a connection."""
        assert Attributor(KEY).attribute(view("https://h/", peer=None), now=NOW) == Attribution()


def test_nested_agents_lead_to_the_root_session() -> None:
    """A session started by a session that was started by a session belongs to the first."""
    attributor = Attributor(KEY)
    url = "https://api.anthropic.com/v1/messages"

    def ask(session: str, parent: str) -> Attribution:
        headers = {
            "user-agent": "opencode/1.18.33",
            "x-session-id": session,
            "x-parent-session-id": parent,
        }
        return attributor.attribute(view(url, headers), now=NOW)

    child, grandchild = ask("child", "root"), ask("grandchild", "child")
    assert (child.session, child.agent, child.parent_agent) == ("root", "child", None)
    assert (grandchild.session, grandchild.agent, grandchild.parent_agent) == (
        "root",
        "grandchild",
        "child",
    )


def test_an_unknown_request_class_does_not_pass_through() -> None:
    """Classes are a closed set, whatever a header says."""
    headers = {"x-claude-code-session-id": "s", "x-claude-code-request-class": "brand-new"}
    assert (
        Attributor(KEY).attribute(view("https://h/", headers, {}), now=NOW).request_class == "main"
    )


class TestAccount:
    URL = "https://api.anthropic.com/v1/messages"

    def ask(self, attributor: Attributor, token: str, **ids: str) -> str | None:
        headers = {
            "user-agent": "claude-cli/2.1.197 (external, cli)",
            "authorization": f"Bearer {token}",
        }
        return attributor.attribute(
            view(self.URL, headers, {"metadata": {"user_id": json.dumps(ids)}}), now=NOW
        ).account

    def test_a_refreshed_token_is_the_same_account(self) -> None:
        """The account id goes before the token, and a token seen with it leads to it when it comes
        alone."""
        attributor = Attributor(KEY)
        first = self.ask(attributor, "sk-ant-oat01-old", account_uuid="acct", device_id="dev")
        assert (
            self.ask(attributor, "sk-ant-oat01-new", account_uuid="acct", device_id="dev")
            == first
            == account_hash("acct")
        )
        assert self.ask(attributor, "sk-ant-oat01-new") == first

    def test_a_device_links_rotating_tokens(self) -> None:
        """Without an account id the installation stands for it, and is joined to it once it is
        known."""
        attributor = Attributor(KEY)
        assert self.ask(
            attributor, "sk-ant-oat01-1", account_uuid="", device_id="dev"
        ) == account_hash("dev")
        assert self.ask(
            attributor, "sk-ant-oat01-2", account_uuid="", device_id="dev"
        ) == account_hash("dev")
        assert self.ask(
            attributor, "sk-ant-oat01-3", account_uuid="acct", device_id="dev"
        ) == account_hash("acct")
        assert self.ask(
            attributor, "sk-ant-oat01-4", account_uuid="", device_id="dev"
        ) == account_hash("acct")

    def test_api_keys_of_one_device_are_different_accounts(self) -> None:
        """A key that does not rotate is its own account."""
        attributor = Attributor(KEY)
        keys = {
            self.ask(attributor, f"sk-ant-api03-{n}", account_uuid="", device_id="dev")
            for n in "ab"
        }
        assert keys == {account_hash("sk-ant-api03-a"), account_hash("sk-ant-api03-b")}

    def test_a_jwt_is_its_subject(self) -> None:
        """A JWT that was renewed for the same subject is the same account."""
        # {"iss":"https://auth","sub":"user-1","exp":1} and exp 2
        tokens = [
            "eyJhbGciOiJub25lIn0.eyJpc3MiOiJodHRwczovL2F1dGgiLCJzdWIiOiJ1c2VyLTEiLCJleHAiOjF9.s1",
            "eyJhbGciOiJub25lIn0.eyJpc3MiOiJodHRwczovL2F1dGgiLCJzdWIiOiJ1c2VyLTEiLCJleHAiOjJ9.s2",
        ]
        attributor = Attributor(KEY)
        assert {self.ask(attributor, token) for token in tokens} == {
            account_hash("https://auth|user-1")
        }

    def test_the_key_makes_the_hash(self) -> None:
        """Hashes of two installations cannot be compared."""
        assert self.ask(Attributor(b"one"), "sk-x") != self.ask(Attributor(b"two"), "sk-x")


@pytest.mark.parametrize(
    ("headers", "identity"),
    [
        ({"authorization": "Bearer sk-x"}, "sk-x"),
        ({"authorization": "sk-x"}, "sk-x"),
        ({"authorization": "Bearer", "x-api-key": "sk-y"}, "sk-y"),
        ({"authorization": "Basic ", "api-key": "sk-y"}, "sk-y"),
        ({"x-goog-api-key": "AIza-z"}, "AIza-z"),
        (
            {
                "authorization": "AWS4-HMAC-SHA256 Credential=AKIA1/20261120/us-east-1/bedrock/aws4_request, "
                "Signature=s"
            },
            "AKIA1",
        ),
        ({"authorization": "AWS4-HMAC-SHA256 Signature=s"}, None),
        ({"authorization": "Bearer tid=abc;exp=1;sku=x"}, "tid=abc"),
        ({}, None),
    ],
)
def test_where_a_credential_is(headers: dict[str, str], identity: str | None) -> None:
    """The identity is the part that stays the same from request to request, wherever a provider
    takes it; a scheme alone is not a credential."""
    found = read_credential(view("https://h/v1/messages", headers))

    assert (found and found.identity) == identity


@pytest.mark.parametrize(
    ("url", "headers", "billing"),
    [
        (
            "https://api.anthropic.com/v1/messages",
            {"authorization": "Bearer sk-ant-oat01-x"},
            "subscription",
        ),
        ("https://api.anthropic.com/v1/messages", {"authorization": "Bearer sk-ant-api03-x"}, None),
        ("https://proxy.example.com/v1/responses", {"chatgpt-account-id": "acct"}, "subscription"),
        ("https://chatgpt.com/backend-api/codex/responses", {}, "subscription"),
        ("https://cloudcode-pa.googleapis.com/v1internal:generateContent", {}, "subscription"),
        ("https://api.business.githubcopilot.com/chat/completions", {}, "subscription"),
        ("https://coding-intl.dashscope.aliyuncs.com/v1/chat/completions", {}, "subscription"),
        ("https://api.z.ai/api/coding/paas/v4/chat/completions", {}, "subscription"),
        ("https://api.z.ai/api/paas/v4/chat/completions", {}, None),
        ("https://api.kimi.com/coding/v1/messages", {}, "subscription"),
        ("https://api.kimi.com/v1/chat/completions", {}, None),
        ("https://api.openai.com/api/coding/v1/chat/completions", {}, None),
    ],
)
def test_whether_a_plan_pays(url: str, headers: dict[str, str], billing: str | None) -> None:
    """A plan's token, account, host or path says so; else the provider's row decides."""
    assert Attributor(KEY).attribute(view(url, headers), now=NOW).billing == billing


@pytest.mark.parametrize("name", ["claude-code-main", "codex-chatgpt_review"])
def test_an_agents_messages_need_not_be_parsed(name: str) -> None:
    """They are nearly all of its request; who it is stands in the small fields."""
    case = json.loads((Path(__file__).with_name("clients") / f"{name}.json").read_text())
    case["body"]["tools"] = [{"description": "x" * WORTHWHILE}]
    case["body"].setdefault("metadata", {})
    case["headers"] |= {"x-codex-turn-metadata": '{"workspaces": {"/home/ana/shop": {}}}'}
    body = json_members.load(json.dumps(case["body"]).encode())
    found = Attributor(KEY).attribute(view(case["url"], case["headers"], body), now=NOW)

    assert found.session == case["expect"]["session"]
    asked = {name for name in body if not isinstance(dict.__getitem__(body, name), msgspec.Raw)}
    assert asked.isdisjoint({"messages", "input", "tools"})


def test_no_credential_and_no_text_is_kept() -> None:
    """Neither the result nor the memory holds a credential or a prompt, in full or in part."""
    attributor = Attributor(KEY)
    request = view(
        "https://h/v1/chat/completions?key=secret-in-query",
        {"user-agent": "x/1", "authorization": "Bearer secret-bearer", "x-api-key": "secret-key"},
        {"messages": [{"role": "user", "content": "a private prompt"}]},
    )
    found = attributor.attribute(request, now=NOW)
    kept = repr([found, *(getattr(attributor, name) for name in vars(attributor))])
    assert "secret" not in kept
    assert "private" not in kept
    credential = read_credential(request)
    assert credential is not None
    assert credential.identity == "secret-bearer"


def test_the_credentials_repr_keeps_the_secret() -> None:
    """A credential that ends up in a traceback or log says nothing."""
    assert "secret" not in repr(read_credential(view("https://h/", {"x-api-key": "secret-key"})))


def test_texts_are_capped_and_printable() -> None:
    """What a peer sends cannot break a terminal or fill a disk."""
    headers = {
        "x-session-id": "\x1b[31mred\u202e" + "x" * 1_000,
        "user-agent": "Bad\x07Client" * 500 + "/" + "9" * 1_000,
    }
    found = Attributor(KEY).attribute(view("https://h/", headers), now=NOW)
    assert found.session is not None
    assert len(found.session) == 12
    for value in (found.session, found.client, found.client_version):
        assert value is None or (value.isprintable() and len(value) <= TEXT_CAP)


def test_a_project_is_a_path() -> None:
    """Prose that mentions the marker is not mistaken for a directory, and does not hide the real
    one."""
    system = (
        "The working directory: see below.\nWorking directory: /srv/app\nMind the working "
        "directory: it may change."
    )
    assert project_of({"system": system}) == "/srv/app"


def test_a_project_outlives_the_message_that_says_it() -> None:
    """A turn on a socket sends what is new only: the session's directory is known from its first
    turn, in that session alone."""
    attributor = Attributor(KEY)

    def ask(session: str, *said: str) -> str | None:
        body = {
            "type": "response.create",
            "input": [{"role": "user", "content": text} for text in said],
        }
        headers = {"user-agent": "codex_exec/0.169.0", "session-id": session}
        return attributor.attribute(view("https://h/v1/responses", headers, body), now=NOW).project

    assert ask("one", "<environment_context>\n  <cwd>/srv/app</cwd>", "hi") == "/srv/app"
    assert ask("one", "and now?") == "/srv/app"
    assert ask("two", "and now?") is None
    assert ask("one", "<environment_context>\n  <cwd>/srv/other</cwd>", "hi") == "/srv/other"
    assert ask("one", "so") == "/srv/other"


def project_of(body: dict[str, Any]) -> str | None:
    request = view("https://h/v1/messages", {"x-app": "cli"}, {"messages": [], **body})
    return Attributor(KEY).attribute(request, now=NOW).project


@pytest.mark.parametrize(
    ("line", "project"),
    [
        ("Working directory: /x", "/x"),
        (" - Primary working directory: ~/x\n", "~/x"),
        ("Working directory: C:\\Users\\ana\\My Own Shop\nnext", "C:\\Users\\ana\\My Own Shop"),
        ("Working directory: /x and my password is hunter2, fire Bob", None),
        ("Working directory: /x, fire Bob", None),
        ("Working directory: /x; fire Bob", None),
        ("Working directory: /x fire Bob.", None),
        ("Working directory: /a b c d e f", None),
        ("Please note my working directory: /x", None),
        ("Working directory: /" + "x" * TEXT_CAP, None),
        ("Working directory: /x" + " " * 2 * TEXT_CAP + "\nnext", None),
        ("Working directory: hunter2", None),
    ],
)
def test_a_project_is_nothing_but_a_path(line: str, project: str | None) -> None:
    """The marker begins its line and the path ends it, in the system prompt or where the client
    speaks in the user's place."""
    assert project_of({"system": [{"type": "text", "text": "You help.\n" + line}]}) == project
    assert project_of({"messages": [{"role": "user", "content": "<env>\n" + line}]}) == project
    assert (
        project_of({"messages": [{"role": "developer", "content": "You help.\n" + line}]})
        == project
    )
    assert project_of({"messages": [{"role": "user", "content": "Hello.\n" + line}]}) is None


@pytest.mark.parametrize(
    ("body", "headers"),
    [
        ({"conversation": "My password is hunter2"}, {}),
        ({"prompt_cache_key": "hunter2" * 40}, {}),
        ({"session_id": "sk-ant-hunter2"}, {}),
        ({}, {"x-session-id": "Bearer hunter2"}),
        ({}, {"x-session-id": "pässwört-hunter2"}),
        (
            {},
            {
                "x-app": "cli",
                "x-claude-code-session-id": "s",
                "x-claude-code-agent-id": "of hunter2",
            },
        ),
        (
            {},
            {
                "x-app": "cli",
                "x-claude-code-session-id": "s",
                "x-claude-code-parent-agent-id": "of hunter2",
            },
        ),
        ({}, {"user-agent": "hunter2-sk-ant-api03-SECRET"}),
        ({}, {"user-agent": "hunter2a8fd3b5c7d9e1f4a6b8"}),
        ({}, {"user-agent": "curl/sk-ant-api03-hunter2"}),
        ({}, {"user-agent": "OpenAI/Python sk-ant-api03-hunter2"}),
        ({}, {"x-cursor-client-version": "my password is hunter2"}),
        ({}, {"editor-version": "aider/sk-ant-api03-hunter2"}),
        ({}, {"x-app": "cli", "x-claude-code-agent-type": "who knows hunter2"}),
        ({}, {"user-agent": "opencode/1", "x-opencode-project": "about hunter2"}),
        (
            {"client_metadata": {"x-codex-turn-metadata": '{"workspaces": {"about hunter2": {}}}'}},
            {"user-agent": "codex_exec/1", "session-id": "s"},
        ),
    ],
)
def test_what_may_be_no_id_is_hashed_and_a_key_is_no_name(
    body: dict[str, Any], headers: dict[str, str]
) -> None:
    """An id is one word; a sentence or a key in its place is identified by its hash, and is not
    kept."""
    found = Attributor(KEY).attribute(view("https://h/v1/responses", headers, body), now=NOW)

    assert "hunter2" not in repr(found)
    assert "secret" not in repr(found).lower()
    assert (
        found.session
        == Attributor(KEY).attribute(view("https://h/v1/responses", headers, body), now=NOW).session
    )


@pytest.mark.parametrize(
    "session",
    [
        "5f0c3a52-8a53-4c0e-9d0e-0b6f6f3f9a11",
        "ses_1",
        "team/job:7@ana",
        "resp_0123456789abcdef0123456789",
    ],
)
def test_ids_stay(session: str) -> None:
    """What is an id by its look is kept as it is."""
    found = Attributor(KEY).attribute(chat("hi", **{"x-session-id": f" {session} "}), now=NOW)

    assert found.session == session


def test_a_long_user_id_is_not_searched_to_its_end() -> None:
    """A pattern over 250 KB of text made for it would take minutes."""
    body = {"metadata": {"user_id": "user_" + "_account__session_ " * 13_000}}
    began = time.process_time()
    Attributor(KEY).attribute(view("https://h/v1/messages", {"x-app": "cli"}, body), now=NOW)

    assert time.process_time() - began < 1


def test_memory_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """No flood of ids, connections, keys or conversations makes memory grow past its caps."""
    for name in (
        "PREFIXES_CAP",
        "RESPONSES_CAP",
        "CONNECTIONS_CAP",
        "AGENTS_CAP",
        "PROJECTS_CAP",
        "ACCOUNTS_CAP",
    ):
        monkeypatch.setattr(attributor, name, 5)
    asked = Attributor(KEY)
    for n in range(50):
        asked.attribute(chat(f"hi {n}", authorization=f"Bearer {n}"), now=NOW)
        asked.attribute(
            view("https://h/v1/embeddings", {"user-agent": "x"}, {}, peer=str(n)), now=NOW
        )
        headers = {"x-claude-code-session-id": f"s-{n}", "x-claude-code-agent-id": str(n)}
        asked.attribute(view("https://h/", headers, {"system": "Working directory: /srv"}), now=NOW)
        asked.answered(f"resp_{n}", "s")
    memories = (
        asked._prefixes,
        asked._responses,
        asked._connections,
        asked._roots,
        asked._projects,
        asked._accounts,
    )
    assert [len(memory) for memory in memories] == [5] * 6


NAMES = sorted(
    {
        *(
            source.name
            for client in CLIENTS
            for source in (*client.session, *client.agent)
            if source.name
        ),
        *(name for client in CLIENTS for name, _ in client.marks),
        *(
            "authorization",
            "x-api-key",
            "amz-sdk-request",
            "x-stainless-retry-count",
            "x-codex-turn-metadata",
            "x-parent-session-id",
        ),
    }
)
KEYS = [
    *(
        "metadata",
        "user_id",
        "session_id",
        "client_metadata",
        "x-codex-turn-metadata",
        "workspaces",
        "request",
        "user_prompt_id",
    ),
    *(
        "messages",
        "contents",
        "input",
        "role",
        "content",
        "parts",
        "text",
        "system",
        "tools",
        "output_config",
        "format",
        "type",
    ),
    *(
        "generationConfig",
        "generate",
        "max_tokens",
        "conversation",
        "previous_response_id",
        "project",
        "thread_id",
    ),
]
ANY_TEXT = st.text(max_size=30) | st.sampled_from(
    ["{}", '{"a":1}', "eyJ.eyJ.x", "tid=;", "AWS4-X Credential=", "Bearer ", "assistant", "\ud800"]
)
ANY_JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | ANY_TEXT,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.sampled_from(KEYS) | ANY_TEXT, inner, max_size=6)
    ),
    max_leaves=30,
)


@given(
    headers=st.dictionaries(st.sampled_from(NAMES) | ANY_TEXT, ANY_TEXT, max_size=8),
    user_agent=st.sampled_from(
        ["claude-cli/2", "codex_exec/1", "GeminiCLI/1", "GitHubCopilotChat/1", "opencode/1"]
    )
    | ANY_TEXT,
    body=st.none() | st.dictionaries(st.sampled_from(KEYS), ANY_JSON, max_size=8),
    path=st.sampled_from(["/v1/responses", "/v1/projects/p/x"]) | ANY_TEXT,
)
def test_never_raises(
    headers: dict[str, str], user_agent: str, body: dict[str, Any] | None, path: str
) -> None:
    """Whatever a client sends, attribution answers with clean text."""
    request = RequestView(
        "any", "h", path, {**headers, "user-agent": user_agent}, body, dict(headers), "p"
    )
    found = Attributor(KEY).attribute(request, now=NOW)
    for value in found._asdict().values():
        assert not isinstance(value, str) or (0 < len(value) <= TEXT_CAP and value.isprintable())
