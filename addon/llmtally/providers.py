"""Who answers at which host, on which paths, in which format, and under which id it is priced.

A provider is a row of `PROVIDERS`, a wire format is a file in `formats/`. To add a provider, write
one row, with the link to its API reference above it, and one capture in `tests/captures/`:

    # https://api-docs.deepseek.com
    Provider(
        "deepseek", ("api.deepseek.com",), (*CHAT, *COMPLETIONS, *MESSAGES), price_id="deepseek"
    ),

`CHAT`, `MESSAGES` and the like are the endpoints that many providers share; `_post`, `_get` and
`_socket` make others. The fields of `Provider` and `Endpoint` say what may stand in a row.
"""

from __future__ import annotations

import functools
import ipaddress
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal
from urllib.parse import unquote

from . import formats
from .formats import Format
from .formats.format import no_content
from .record import TEXT_CAP, Billing
from .wire.framing import is_streaming

Method = Literal["POST", "GET", "SOCKET"]

MAX_HOST = 253
"""Characters of a host name (RFC 1035)."""
MAX_PATH = 512
"""Characters at the end of a path that are compared with endpoints: all endpoints are shorter, and
longer paths must not fill the cache."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One kind of request whose response reports usage."""

    method: Method
    """The request's method; `SOCKET` is a GET that upgrades to a WebSocket."""
    pattern: str
    """How the path ends, because gateways mount the same API under other prefixes. `{model}` stands
    for the name of the model, any other `{word}` for one path segment."""
    format: Format
    """How the response is read: a value of `formats/`."""
    streams_json: bool = False
    """Whether `application/json` here is a stream, an array sent element by element (Gemini)."""


@dataclass(frozen=True, slots=True)
class Provider:
    """One row of `PROVIDERS`: where a provider answers, in which formats, at whose prices."""

    name: str
    """The record's `provider`: as OpenTelemetry's `gen_ai.provider.name` spells it, where that
    knows the provider, with underscores in place of dots."""
    hosts: tuple[str, ...]
    """Host names in lower case; `*` stands for one or more characters of a name. An exact name wins
    over a pattern, a longer pattern over a shorter one."""
    endpoints: tuple[Endpoint, ...]
    """The endpoints of these hosts that are read; if several match a path, the first one counts.
    Requests to other paths are not calls."""
    price_id: str | None = None
    """The provider's id in genai-prices. None: no list price is known, so calls are unpriced unless
    the response states a cost."""
    billing: Billing = "api"
    """Who pays: `subscription` where this host's credentials are those of a plan."""
    limit_events: bool = False
    """Whether rate limits also come as messages in the stream, not only as headers."""


@dataclass(frozen=True, slots=True)
class Route:
    """What the tables say about one request."""

    provider: Provider
    """The row of the host, or `LOCAL` or `UNKNOWN`."""
    format: Format
    """How the response is read."""
    model: str | None = None
    """The model that the path names."""
    streams_json: bool = False
    """The endpoint's `streams_json`."""
    confirmed: bool = True
    """Whether the host has a row. If not, only the end of the path looks like an LLM call, and the
    bodies must confirm it."""

    def streams(self, status: int, content_type: str) -> bool:
        """Whether a response comes in pieces that must reach the client as soon as they arrive."""
        # A file of many responses is read as it passes: to settle thousands at its end would hold
        # up the loop for seconds. What refuses them is one response.
        return (self.format.multiple and status == 200) or is_streaming(
            content_type, json_array=self.streams_json
        )

    @property
    def has_content(self) -> bool:
        """Whether the answers come in pieces, so that the time of the first one matters."""
        return self.format.content is not no_content


def _post(pattern: str, fmt: Format, *, streams_json: bool = False) -> Endpoint:
    return Endpoint("POST", pattern, fmt, streams_json)


def _get(pattern: str, fmt: Format) -> Endpoint:
    return Endpoint("GET", pattern, fmt)


def _socket(pattern: str, fmt: Format) -> Endpoint:
    return Endpoint("SOCKET", pattern, fmt)


CHAT = (_post("/chat/completions", formats.OPENAI_CHAT),)
COMPLETIONS = (_post("/completions", formats.OPENAI_COMPLETIONS),)
EMBEDDINGS = (_post("/embeddings", formats.OPENAI_EMBEDDINGS),)
RESPONSES = (
    _post("/responses", formats.OPENAI_RESPONSES),
    _post("/responses/compact", formats.OPENAI_RESPONSES),
    _get("/responses/{id}", formats.OPENAI_RESPONSES),
    _socket("/responses", formats.OPENAI_RESPONSES),
)
AUDIO = (
    _post("/audio/transcriptions", formats.OPENAI_TRANSCRIPTION),
    _post("/audio/translations", formats.OPENAI_TRANSCRIPTION),
    _post("/audio/speech", formats.OPENAI_SPEECH),
)
IMAGES = (
    _post("/images/generations", formats.OPENAI_IMAGES),
    _post("/images/edits", formats.OPENAI_IMAGES),
)
REALTIME = (_socket("/realtime", formats.OPENAI_REALTIME),)
MESSAGES = (
    _post("/v1/messages", formats.ANTHROPIC_MESSAGES),
    _socket("/v1/messages", formats.ANTHROPIC_MESSAGES),
)
SESSIONS = (
    _get("/sessions/{session}/events", formats.ANTHROPIC_SESSIONS),
    _get("/sessions/{session}/events/stream", formats.ANTHROPIC_SESSIONS),
    _get("/sessions/{session}/stream", formats.ANTHROPIC_SESSIONS),
)
GEMINI = (
    # The two beside `models` hold models that were tuned, on the Gemini API and on Vertex.
    *(
        endpoint
        for collection in ("models", "tunedModels", "endpoints")
        for endpoint in (
            _post(f"/{collection}/{{model}}:generateContent", formats.GEMINI_GENERATE),
            _post(
                f"/{collection}/{{model}}:streamGenerateContent",
                formats.GEMINI_GENERATE,
                streams_json=True,
            ),
        )
    ),
    _post("/models/{model}:embedContent", formats.GEMINI_GENERATE),
    _post("/models/{model}:batchEmbedContents", formats.GEMINI_GENERATE),
)
OPENAI = (*CHAT, *COMPLETIONS, *RESPONSES, *EMBEDDINGS, *AUDIO, *IMAGES, *REALTIME)

# The lists below follow each provider's API reference; where its own SDK names the hosts, the SDK
# is the source.
PROVIDERS: tuple[Provider, ...] = (
    # https://platform.openai.com/docs/api-reference; regional hosts: openai-python
    # `_data_residency.py`
    Provider(
        "openai",
        (
            "api.openai.com",
            *(f"{region}.api.openai.com" for region in ("us", "eu", "ae", "au", "in", "jp")),
        ),
        (
            *OPENAI,
            _post("/decisions", formats.OPENAI_RESPONSES),
            _post("/threads/{thread}/runs", formats.OPENAI_RUNS),
            _post("/threads/runs", formats.OPENAI_RUNS),
            _post("/threads/{thread}/runs/{run}/submit_tool_outputs", formats.OPENAI_RUNS),
            _get("/threads/{thread}/runs/{run}", formats.OPENAI_RUNS),
            _get("/files/{file}/content", formats.OPENAI_BATCH),
            _socket("/live/sessions", formats.OPENAI_LIVE),
            _socket("/live/sessions/{session}", formats.OPENAI_LIVE),
            _socket("/live/sessions/{session}/attach", formats.OPENAI_LIVE),
            _socket("/live/sessions/{session}/fork", formats.OPENAI_LIVE),
            _post("/agents/sessions", formats.OPENAI_AGENTS),
            _get("/agents/sessions/{session}/events", formats.OPENAI_AGENTS),
            _get("/agents/sessions/{session}/turns/{turn}", formats.OPENAI_AGENTS),
        ),
        price_id="openai",
    ),
    # openai/codex `codex-api`
    Provider(
        "chatgpt_codex",
        ("chatgpt.com", "*.chatgpt.com"),
        (
            _post("/backend-api/codex/responses", formats.OPENAI_RESPONSES),
            _post("/backend-api/codex/responses/compact", formats.OPENAI_RESPONSES),
            _socket("/backend-api/codex/responses", formats.OPENAI_RESPONSES),
        ),
        price_id="openai",
        billing="subscription",
        limit_events=True,
    ),
    # https://learn.microsoft.com/azure/ai-services/openai/reference
    Provider(
        "azure_openai",
        (
            "*.openai.azure.com",
            "*.cognitiveservices.azure.com",
            "*.services.ai.azure.com",
            "*.azure-api.net",
        ),
        (*OPENAI, *MESSAGES),
        price_id="azure",
    ),
    # https://docs.github.com/copilot; GHE host: `copilot-api.{subdomain}.ghe.com`
    Provider(
        "github_copilot",
        ("api.githubcopilot.com", "*.githubcopilot.com", "*.ghe.com"),
        (*CHAT, *RESPONSES, *MESSAGES, *EMBEDDINGS),
        price_id="github-copilot",
        billing="subscription",
        limit_events=True,
    ),
    # https://docs.anthropic.com/en/api
    Provider(
        "anthropic",
        ("api.anthropic.com",),
        (
            *MESSAGES,
            _get("/messages/batches/{batch}/results", formats.ANTHROPIC_BATCH),
            *SESSIONS,
            *CHAT,
        ),
        price_id="anthropic",
    ),
    # anthropic-sdk-python `lib/aws`
    Provider(
        "aws_anthropic", ("aws-external-anthropic.*.api.aws",), MESSAGES, price_id="anthropic"
    ),
    # anthropic-sdk-python `lib/google_cloud`
    Provider("google_anthropic", ("claude.googleapis.com",), MESSAGES, price_id="anthropic"),
    # https://docs.aws.amazon.com/bedrock/latest/APIReference
    Provider(
        "aws_bedrock",
        (
            "bedrock-runtime.*.amazonaws.com",
            "bedrock-runtime-fips.*.amazonaws.com",
            "bedrock-runtime.*.amazonaws.com.cn",
        ),
        (
            _post("/model/{model}/invoke", formats.BEDROCK_INVOKE),
            _post("/model/{model}/invoke-with-response-stream", formats.BEDROCK_INVOKE),
            _post("/model/{model}/converse", formats.BEDROCK_CONVERSE),
            _post("/model/{model}/converse-stream", formats.BEDROCK_CONVERSE),
            *CHAT,
            *RESPONSES,
        ),
        price_id="aws",
    ),
    # anthropic-sdk-python `lib/bedrock/_mantle.py`, openai-python `providers/bedrock.py`
    Provider(
        "bedrock_mantle",
        ("bedrock-mantle.*.api.aws",),
        (*MESSAGES, *CHAT, *RESPONSES),
        price_id="aws",
    ),
    # https://cloud.google.com/vertex-ai/generative-ai/docs/model-reference/inference
    Provider(
        "gcp_vertex",
        (
            "aiplatform.googleapis.com",
            "*-aiplatform.googleapis.com",
            "aiplatform.*.rep.googleapis.com",
            "*.mtls.googleapis.com",
        ),
        (
            *GEMINI,
            _post("/publishers/anthropic/models/{model}:rawPredict", formats.ANTHROPIC_MESSAGES),
            _post(
                "/publishers/anthropic/models/{model}:streamRawPredict", formats.ANTHROPIC_MESSAGES
            ),
            _post("/publishers/{publisher}/models/{model}:rawPredict", formats.OPENAI_CHAT),
            _post("/publishers/{publisher}/models/{model}:streamRawPredict", formats.OPENAI_CHAT),
            _post("/publishers/google/models/{model}:predict", formats.VERTEX_PREDICT),
            *CHAT,
            _socket("LlmBidiService/BidiGenerateContent", formats.GEMINI_LIVE),
        ),
        price_id="google",
    ),
    # https://ai.google.dev/api
    Provider(
        "gemini",
        ("generativelanguage.googleapis.com",),
        (
            *GEMINI,
            _post("/interactions", formats.GEMINI_INTERACTIONS),
            _get("/interactions/{id}", formats.GEMINI_INTERACTIONS),
            *CHAT,
            *EMBEDDINGS,
            _socket("GenerativeService.BidiGenerateContent", formats.GEMINI_LIVE),
            _socket("GenerativeService.BidiGenerateContentConstrained", formats.GEMINI_LIVE),
        ),
        price_id="google",
    ),
    # google-gemini/gemini-cli `code_assist/server.ts`
    Provider(
        "code_assist",
        (
            "cloudcode-pa.googleapis.com",
            "*-cloudcode-pa.googleapis.com",
            "*-cloudcode-pa.sandbox.googleapis.com",
        ),
        (
            _post("/v1internal:generateContent", formats.GEMINI_GENERATE),
            _post("/v1internal:streamGenerateContent", formats.GEMINI_GENERATE, streams_json=True),
        ),
        price_id="google",
        billing="subscription",
    ),
    # https://docs.mistral.ai/api
    Provider(
        "mistral",
        ("api.mistral.ai", "api.eu.mistral.ai", "api.us.mistral.ai", "codestral.mistral.ai"),
        (
            *CHAT,
            _post("/fim/completions", formats.OPENAI_CHAT),
            _post("/agents/completions", formats.OPENAI_CHAT),
            *RESPONSES,
            _post("/conversations", formats.OPENAI_CHAT),
            _post("/conversations/{id}", formats.OPENAI_CHAT),
            _post("/conversations/{id}/restart", formats.OPENAI_CHAT),
            *EMBEDDINGS,
            *AUDIO,
            _post("/ocr", formats.OPENAI_CHAT),
        ),
        price_id="mistral",
    ),
    # https://docs.cohere.com/reference
    Provider(
        "cohere",
        ("api.cohere.com", "api.cohere.ai"),
        (
            *(
                _post(f"/{name}", formats.COHERE_CHAT)
                for name in (
                    "chat",
                    "generate",
                    "embed",
                    "rerank",
                    "classify",
                    "summarize",
                    "parse",
                )
            ),
            *CHAT,
            *EMBEDDINGS,
        ),
        price_id="cohere",
    ),
    # https://api-docs.deepseek.com
    Provider(
        "deepseek", ("api.deepseek.com",), (*CHAT, *COMPLETIONS, *MESSAGES), price_id="deepseek"
    ),
    # https://docs.x.ai/docs/api-reference; gRPC: xai-sdk
    Provider(
        "x_ai",
        ("api.x.ai", "*.api.x.ai"),
        (
            *CHAT,
            *RESPONSES,
            *EMBEDDINGS,
            *MESSAGES,
            _post("/xai_api.Chat/GetCompletion", formats.XAI_GRPC),
            _post("/xai_api.Chat/GetCompletionChunk", formats.XAI_GRPC),
        ),
        price_id="x-ai",
    ),
    # https://console.groq.com/docs/api-reference
    Provider("groq", ("api.groq.com",), (*CHAT, *RESPONSES, *EMBEDDINGS, *AUDIO), price_id="groq"),
    # https://openrouter.ai/docs/api-reference
    Provider(
        "openrouter",
        ("openrouter.ai", "api.openrouter.ai"),
        (*CHAT, *RESPONSES, *MESSAGES, *COMPLETIONS, *EMBEDDINGS),
        price_id="openrouter",
    ),
    # https://docs.together.ai/reference
    Provider(
        "together",
        ("api.together.ai", "api.together.xyz", "us-api.together.ai", "ca-api.together.ai"),
        (
            *CHAT,
            *COMPLETIONS,
            *EMBEDDINGS,
            _post("/rerank", formats.OPENAI_EMBEDDINGS),
            *IMAGES,
            *AUDIO,
        ),
        price_id="together",
    ),
    # https://docs.fireworks.ai/api-reference
    Provider(
        "fireworks",
        ("api.fireworks.ai",),
        (*CHAT, *COMPLETIONS, *EMBEDDINGS, *MESSAGES, *RESPONSES),
        price_id="fireworks",
    ),
    # https://docs.perplexity.ai/api-reference
    Provider(
        "perplexity",
        ("api.perplexity.ai",),
        (*CHAT, *RESPONSES, *EMBEDDINGS),
        price_id="perplexity",
    ),
    # https://inference-docs.cerebras.ai/api-reference
    Provider("cerebras", ("api.cerebras.ai",), (*CHAT, *COMPLETIONS), price_id="cerebras"),
    # https://platform.moonshot.ai/docs/api
    Provider(
        "moonshot", ("api.moonshot.ai", "api.kimi.com"), (*CHAT, *MESSAGES), price_id="moonshotai"
    ),
    # These two Chinese platforms charge in CNY, by price lists that genai-prices does not have.
    Provider("moonshot_cn", ("api.moonshot.cn",), (*CHAT, *MESSAGES)),
    Provider("zhipuai", ("open.bigmodel.cn",), (*CHAT, *MESSAGES, *EMBEDDINGS)),
    # https://docs.z.ai/api-reference
    Provider("zai", ("api.z.ai",), (*CHAT, *MESSAGES, *EMBEDDINGS), price_id="zai"),
    # https://platform.minimax.io/docs/api-reference
    Provider(
        "minimax",
        ("api.minimax.io", "api.minimaxi.com"),
        (
            *MESSAGES,
            *RESPONSES,
            _post("/chat/completions", formats.OPENAI_CHAT_MINIMAX),
            _post("/text/chatcompletion_v2", formats.OPENAI_CHAT_MINIMAX),
        ),
        price_id="minimax",
    ),
    # https://help.aliyun.com/zh/model-studio; hosts: dashscope `common/env.py`
    Provider(
        "dashscope",
        (
            "dashscope.aliyuncs.com",
            "dashscope-intl.aliyuncs.com",
            "dashscope-us.aliyuncs.com",
            "coding.dashscope.aliyuncs.com",
            "coding-intl.dashscope.aliyuncs.com",
            "*.maas.aliyuncs.com",
        ),
        (
            *CHAT,
            *COMPLETIONS,
            *RESPONSES,
            *EMBEDDINGS,
            *MESSAGES,
            _post("/services/aigc/{task}/{function}", formats.DASHSCOPE),
            _post("/services/embeddings/{task}/{function}", formats.DASHSCOPE),
            _post("/services/rerank/{task}/{function}", formats.DASHSCOPE),
            _socket("/api-ws/v1/inference", formats.DASHSCOPE),
        ),
    ),
    # The rest speak OpenAI's dialect; hosts as models.dev and genai-prices list them.
    Provider("huggingface", ("router.huggingface.co",), (*CHAT, *RESPONSES, *EMBEDDINGS)),
    Provider("github_models", ("models.github.ai",), (*CHAT, *EMBEDDINGS)),
    Provider("nvidia", ("integrate.api.nvidia.com",), OPENAI),
    Provider("deepinfra", ("api.deepinfra.com",), (*OPENAI, *MESSAGES)),
    Provider("novita", ("api.novita.ai",), (*OPENAI, *MESSAGES), price_id="novita"),
    Provider("siliconflow", ("api.siliconflow.com", "api.siliconflow.cn"), (*OPENAI, *MESSAGES)),
    Provider("nebius", ("api.tokenfactory.nebius.com",), OPENAI),
    Provider("baseten", ("inference.baseten.co",), OPENAI, price_id="baseten"),
    Provider("chutes", ("llm.chutes.ai",), OPENAI),
    Provider("vercel", ("ai-gateway.vercel.sh",), (*OPENAI, *MESSAGES)),
    Provider("opencode", ("opencode.ai",), (*CHAT, *RESPONSES, *MESSAGES, *GEMINI)),
    Provider("poe", ("api.poe.com",), (*CHAT, *RESPONSES, *MESSAGES)),
    Provider("requesty", ("router.requesty.ai",), (*CHAT, *RESPONSES, *MESSAGES, *EMBEDDINGS)),
    Provider("xiaomi", ("api.xiaomimimo.com",), (*CHAT, *MESSAGES)),
    Provider("stepfun", ("api.stepfun.com", "api.stepfun.ai"), (*CHAT, *MESSAGES)),
    Provider(
        "ollama_cloud",
        ("ollama.com",),
        (
            *(_post(f"/api/{name}", formats.OLLAMA) for name in ("chat", "generate", "embed")),
            *CHAT,
            *RESPONSES,
            *MESSAGES,
        ),
    ),
    Provider(
        "cloudflare",
        ("api.cloudflare.com", "gateway.ai.cloudflare.com"),
        (*OPENAI, *MESSAGES, *GEMINI),
        price_id="cloudflare",
    ),
    Provider(
        "voyage",
        ("api.voyageai.com",),
        (*EMBEDDINGS, _post("/rerank", formats.OPENAI_EMBEDDINGS)),
        price_id="voyageai",
    ),
    # Private Connect protobuf: requests and bytes can be counted, usage only as far as its messages
    # have been understood.
    Provider(
        "cursor",
        ("api2.cursor.sh", "*.cursor.sh"),
        (
            _post("/aiserver.v1.ChatService/{method}", formats.CURSOR),
            _post("/agent.v1.AgentService/{method}", formats.CURSOR),
        ),
        billing="subscription",
    ),
)

GENERIC: tuple[Endpoint, ...] = (
    *OPENAI,
    *MESSAGES,
    *GEMINI,
    *(_post(f"/api/{name}", formats.OLLAMA) for name in ("chat", "generate", "embed")),
    _post("/completion", formats.LLAMA_CPP),
    _post("/api/v1/chat", formats.LM_STUDIO),
    _post("/model/{model}/invoke", formats.BEDROCK_INVOKE),
    _post("/model/{model}/invoke-with-response-stream", formats.BEDROCK_INVOKE),
    _post("/model/{model}/converse", formats.BEDROCK_CONVERSE),
    _post("/model/{model}/converse-stream", formats.BEDROCK_CONVERSE),
    _post("/v2/chat", formats.COHERE_CHAT),
)
"""Endpoints of gateways and self-hosted servers, for hosts without a row; the bodies must confirm
that it is an LLM call."""

LOCAL = Provider("local", (), GENERIC, billing="local")
"""A loopback or private address: a server of yours, whose tokens cost nothing unless it is a
gateway to a vendor."""
UNKNOWN = Provider("unknown", (), GENERIC)
"""The row of any public host that has none in `PROVIDERS`."""

BY_NAME: Mapping[str, Provider] = {row.name: row for row in (*PROVIDERS, LOCAL, UNKNOWN)}
"""All rows, by the provider's name."""

PRICE_IDS: Mapping[str, str] = {row.name: row.price_id for row in PROVIDERS if row.price_id}
"""Ids in genai-prices, by the provider's name."""


class RouteTable:
    """Finds the route of a request, in the rows above and those that the user added."""

    def __init__(self, extra: Iterable[Provider] = ()) -> None:
        """`extra`: the user's rows, which take precedence."""
        self._rows = (*extra, *PROVIDERS)
        self._by_host = {
            host: row for row in reversed(self._rows) for host in row.hosts if "*" not in host
        }
        self._wildcards = [
            (_compile_host(host), row) for row in self._rows for host in row.hosts if "*" in host
        ]
        # Clients call few paths; 4,096 keeps hostile ones from growing it.
        self._cached = functools.lru_cache(maxsize=4096)(self._route)

    def provider(self, host: str) -> Provider | None:
        """The row of a host (lower case, no port), or None."""
        if (row := self._by_host.get(host)) is not None:
            return row
        matches = [
            (pattern.pattern, row) for pattern, row in self._wildcards if pattern.fullmatch(host)
        ]
        return max(matches, key=lambda match: len(match[0]))[1] if matches else None

    def route(self, method: Method, host: str, path: str) -> Route | None:
        """The route of a request, or None where it is not an LLM call. `path` is without the
        query."""
        return self._cached(method, host[-MAX_HOST:], path[-MAX_PATH:])

    def _route(self, method: Method, host: str, path: str) -> Route | None:
        row = self.provider(host)
        confirmed = row is not None
        if row is None:
            row = LOCAL if is_local(host) else UNKNOWN
        for pattern, endpoint in _compiled(row.endpoints):
            if endpoint.method == method and (match := pattern.search(path)):
                return Route(row, endpoint.format, _model(match), endpoint.streams_json, confirmed)
        return None


def custom(host: str, format_name: str) -> Provider:
    """A row for `usage_hosts`: well-known paths are read as usual, every other POST and socket in
    the named format. Raises ValueError."""
    fmt = formats.BY_NAME.get(format_name)
    if fmt is None:
        raise ValueError(
            f"{format_name!r} is not a format; choose one of {', '.join(sorted(formats.BY_NAME))}"
        )
    name = "local" if is_local(host) else host
    billing: Billing = "local" if is_local(host) else "api"
    return Provider(name, (host,), (*GENERIC, _post("", fmt), _socket("", fmt)), billing=billing)


def is_local(host: str) -> bool:
    """Whether a host is this machine or its private network."""
    if not host:
        return False
    if host == "localhost" or host.endswith(
        (".localhost", ".local", ".internal", ".lan", ".home.arpa")
    ):
        return True
    try:
        address = ipaddress.ip_address(host.strip("[]"))
    except ValueError:
        return "." not in host  # a bare name is resolved by the local network
    return address.is_private or address.is_loopback or address.is_link_local


def _model(match: re.Match[str]) -> str | None:
    model = match.groupdict().get("model")
    return unquote(model)[:TEXT_CAP] if model else None


@functools.cache
def _compiled(endpoints: tuple[Endpoint, ...]) -> tuple[tuple[re.Pattern[str], Endpoint], ...]:
    return tuple((_compile_path(endpoint.pattern), endpoint) for endpoint in endpoints)


def _compile_path(pattern: str) -> re.Pattern[str]:
    pieces = re.split(r"\{(\w+)\}", pattern)
    regex = "".join(
        f"(?P<{piece}>[^/]+)" if at % 2 else re.escape(piece) for at, piece in enumerate(pieces)
    )
    return re.compile(regex + "/?$")


def _compile_host(pattern: str) -> re.Pattern[str]:
    return re.compile(re.escape(pattern).replace(r"\*", r"[a-z0-9.-]+"))
