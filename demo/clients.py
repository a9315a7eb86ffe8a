"""The users at work: real SDKs, each in a thread, with pauses for thought.

The headers in which agents' clients identify themselves are added to the SDKs' requests, so that
the page shows sessions with their agents. What they ask does not matter.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from random import Random
from typing import Any
from uuid import UUID

import anthropic
import httpx
import httpx2
import openai
from google import genai
from google.genai import errors, types

from .cast import (
    API_SERVER,
    CHATGPT,
    DOCS,
    EVALS,
    GAME,
    HAIKU,
    OPENROUTER,
    SHOP,
    SUMMARIES,
    UNPRICED_MODEL,
    User,
)
from .pace import Pace
from .turns import HEADER, Conversation, Troubles, Turn

TROUBLE = (
    anthropic.AnthropicError,
    openai.OpenAIError,
    errors.APIError,
    httpx.HTTPError,
    httpx2.HTTPError,
)
"""What SDKs raise when a call goes wrong, here on purpose; the users then continue."""

ENDING = 3.0
"""Seconds that the clients may take to end: an SDK may be pausing before it tries again."""

OPEN_CONTEXT = 25_000
"""Tokens of context in a session that was under way when the demo began."""

TITLE: Any = {"format": {"type": "json_schema", "schema": {"type": "object"}}}
"""How Claude Code asks for the title of a conversation."""


class Clients:
    """All users at work, each in its thread."""

    def __init__(self, pace: Pace) -> None:
        work: list[Callable[[], None]] = [
            ClaudeCode(pace, SHOP, first=0).work,
            ClaudeCode(pace, DOCS, first=9).work,
            Codex(pace).work,
            OpenCode(pace).work,
            Evaluations(pace).work,
            Summaries(pace).work,
        ]
        self._threads = [
            threading.Thread(target=each, name=f"client {number}", daemon=True)
            for number, each in enumerate(work)
        ]

    def start(self) -> None:
        """Start the threads of all users."""
        for thread in self._threads:
            thread.start()

    def join(self) -> None:
        """Wait until the threads have ended, as the end of the pace makes them."""
        deadline = time.monotonic() + ENDING
        for thread in self._threads:
            thread.join(max(0.0, deadline - time.monotonic()))


class Desk:
    """What all users need: a pace, chance, and trouble."""

    def __init__(self, pace: Pace, user: User, first: int) -> None:
        self.pace = pace
        self.user = user
        self.chance = Random(f"{user.directory} {first}")  # noqa: S311  # nothing secret
        self._troubles = Troubles(first)

    def sessions(self) -> Iterator[str]:
        """Ids of one session after another; the first continues from the history."""
        session = self.user.open_session
        while not self.pace.is_over:
            yield session
            session = str(UUID(int=self.chance.getrandbits(128), version=4))
            self.think(4, 9)

    def turns(self, least: int, most: int, *, session: str = "") -> Iterator[Turn]:
        """The turns of one conversation, with pauses between; of a session that continues if it is
        named."""
        said = int(OPEN_CONTEXT * self.user.talkative) if session == self.user.open_session else 0
        conversation = Conversation(
            self.chance, shared=self.user.shared + said, talkative=self.user.talkative
        )
        for _ in range(self.chance.randint(least, most)):
            if self.pace.is_over:
                return
            yield conversation.turn(self._troubles.next())
            self.think(1, 5)

    def think(self, least: float, most: float) -> None:
        """Pause for a random time between two numbers of seconds."""
        self.pace.wait(self.chance.uniform(least, most))

    def read(self, stream: Any, turn: Turn) -> None:
        """Read a stream to its end, or until the user has had enough."""
        for number, _ in enumerate(stream):
            if turn.fate == "left" and number == 8:
                return


class ClaudeCode:
    """Sessions of an agent that starts others: a title by a small model, then turns, and now and
    then agents beside them."""

    def __init__(self, pace: Pace, user: User, first: int) -> None:
        self._desk = Desk(pace, user, first)
        self._user = user
        token = user.headers["authorization"].removeprefix("Bearer ")
        self._client = anthropic.Anthropic(auth_token=token, default_headers=user.headers)

    def work(self) -> None:
        """Hold one session after the other until the demo ends."""
        for session in self._desk.sessions():
            self._title(session)
            for number, turn in enumerate(self._desk.turns(24, 36, session=session)):
                self._ask(turn, self._user.model, session)
                if number % 4 == 0:
                    self._delegate(session)

    def _title(self, session: str) -> None:
        turn = Turn(cached=0, uncached=350, output=24, reasoning=0, seconds=1.0)
        self._ask(turn, HAIKU, session, tools=[], output_config=TITLE)

    def _delegate(self, session: str) -> None:
        """Run one agent of each type, all at the same time."""
        agents = [
            threading.Thread(target=self._agent, args=(session, kind, model), daemon=True)
            for kind, model in self._user.agents.items()
        ]
        for agent in agents:
            agent.start()
        for agent in agents:
            agent.join()

    def _agent(self, session: str, kind: str, model: str, parent: str | None = None) -> None:
        agent = f"{self._desk.chance.getrandbits(28):07x}"
        who = {
            "x-claude-code-agent-id": agent,
            "x-claude-code-agent-type": kind,
            "x-claude-code-request-class": "subagent",
            **({"x-claude-code-parent-agent-id": parent} if parent else {}),
        }
        for number, turn in enumerate(self._desk.turns(2, 4)):
            self._ask(turn, model, session, who)
            if kind == "Plan" and number == 0:
                self._agent(session, "Explore", HAIKU, parent=agent)

    def _ask(
        self,
        turn: Turn,
        model: str,
        session: str,
        who: Mapping[str, str] | None = None,
        **options: Any,
    ) -> None:
        headers = {HEADER: turn.to_header(), "x-claude-code-session-id": session, **(who or {})}
        try:
            with self._client.messages.stream(
                model=model,
                max_tokens=8000,
                system=f"Primary working directory: {self._user.directory}",
                messages=[{"role": "user", "content": "Go on."}],
                extra_headers=headers,
                **options,
            ) as stream:
                self._desk.read(stream, turn)
        except TROUBLE:
            self._desk.think(0.5, 1.5)


class Codex:
    """Sessions on a ChatGPT plan, with a review by another thread at their end."""

    def __init__(self, pace: Pace) -> None:
        self._desk = Desk(pace, API_SERVER, first=4)
        self._client = openai.OpenAI(
            api_key="made-up",
            base_url=f"https://{CHATGPT}/backend-api/codex",
            default_headers=API_SERVER.headers,
        )

    def work(self) -> None:
        """Hold one session after the other until the demo ends."""
        for session in self._desk.sessions():
            for turn in self._desk.turns(12, 20, session=session):
                self._ask(turn, {"session-id": session, "thread-id": session})
            review = {
                "thread-id": f"{session[:8]}-review",
                "x-codex-parent-thread-id": session,
                "x-openai-subagent": "review",
            }
            for turn in self._desk.turns(2, 3):
                self._ask(turn, {"session-id": session, **review})

    def _ask(self, turn: Turn, who: Mapping[str, str]) -> None:
        headers = {HEADER: turn.to_header(), **who}
        try:
            with self._client.responses.create(
                model=API_SERVER.model,
                input="Go on.",
                store=False,
                stream=True,
                extra_headers=headers,
            ) as stream:
                self._desk.read(stream, turn)
        except TROUBLE:
            self._desk.think(0.5, 1.5)


class OpenCode:
    """Sessions on OpenRouter, which states what a call cost."""

    def __init__(self, pace: Pace) -> None:
        self._desk = Desk(pace, GAME, first=6)
        self._client = openai.OpenAI(
            api_key="made-up", base_url=f"https://{OPENROUTER}/api/v1", default_headers=GAME.headers
        )

    def work(self) -> None:
        """Hold one session after the other until the demo ends."""
        for session in self._desk.sessions():
            for turn in self._desk.turns(12, 20, session=session):
                self._ask(turn, session)

    def _ask(self, turn: Turn, session: str) -> None:
        try:
            with self._client.chat.completions.create(
                model=GAME.model,
                messages=[
                    {"role": "system", "content": f"Working directory: {GAME.directory}"},
                    {"role": "user", "content": "Go on."},
                ],
                stream=True,
                stream_options={"include_usage": True},
                extra_headers={HEADER: turn.to_header(), "x-session-id": session},
            ) as stream:
                self._desk.read(stream, turn)
        except TROUBLE:
            self._desk.think(0.5, 1.5)


class Evaluations:
    """A script with an API key: whole answers, one after the other, and once a model without a
    price."""

    def __init__(self, pace: Pace) -> None:
        self._desk = Desk(pace, EVALS, first=0)
        self._client = openai.OpenAI(api_key="sk-proj-made-up")

    def work(self) -> None:
        """Do one run after the other; one case of the first goes to a model without a price."""
        unpriced = 4
        for run in self._desk.sessions():
            for number, turn in enumerate(self._desk.turns(14, 22)):
                self._ask(turn, run, UNPRICED_MODEL if number == unpriced else EVALS.model)
            unpriced = -1

    def _ask(self, turn: Turn, run: str, model: str) -> None:
        headers = {HEADER: turn.to_header()}
        try:
            self._client.chat.completions.create(
                model=model,
                messages=[{"role": "user", "content": "Judge this."}],
                prompt_cache_key=run,
                extra_headers=headers,
            )
        except TROUBLE:
            self._desk.think(0.5, 1.5)


class Summaries:
    """A script that does not identify itself: its session is inferred from the conversation."""

    def __init__(self, pace: Pace) -> None:
        self._desk = Desk(pace, SUMMARIES, first=2)
        self._client = genai.Client(api_key="made-up")

    def work(self) -> None:
        """Hold one conversation after the other until the demo ends."""
        for session in self._desk.sessions():
            asked: list[Any] = []
            for turn in self._desk.turns(6, 10):
                asked.append(
                    {"role": "user", "parts": [{"text": f"Paper {len(asked)} of {session}"}]}
                )
                self._ask(turn, asked)

    def _ask(self, turn: Turn, contents: list[Any]) -> None:
        options = types.HttpOptions(headers={HEADER: turn.to_header()})
        try:
            stream = self._client.models.generate_content_stream(
                model=SUMMARIES.model,
                contents=contents,
                config=types.GenerateContentConfig(http_options=options),
            )
            self._desk.read(stream, turn)
        except TROUBLE:
            self._desk.think(0.5, 1.5)
