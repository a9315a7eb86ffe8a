"""The wire formats: messages in, `Reading` out. A format exists only if it is in the list below."""

from __future__ import annotations

from .anthropic_messages import ANTHROPIC_BATCH, ANTHROPIC_MESSAGES
from .anthropic_sessions import ANTHROPIC_SESSIONS
from .bedrock_converse import BEDROCK_CONVERSE
from .bedrock_invoke import BEDROCK_INVOKE
from .cohere import COHERE_CHAT
from .cursor import CURSOR
from .dashscope import DASHSCOPE
from .format import Format
from .gemini import GEMINI_GENERATE
from .gemini_interactions import GEMINI_INTERACTIONS
from .gemini_live import GEMINI_LIVE
from .llama_cpp import LLAMA_CPP
from .lm_studio import LM_STUDIO
from .ollama import OLLAMA
from .openai_agents import OPENAI_AGENTS
from .openai_audio import OPENAI_SPEECH, OPENAI_TRANSCRIPTION
from .openai_batch import OPENAI_BATCH
from .openai_chat import OPENAI_CHAT, OPENAI_CHAT_MINIMAX, OPENAI_COMPLETIONS
from .openai_embeddings import OPENAI_EMBEDDINGS
from .openai_images import OPENAI_IMAGES
from .openai_live import OPENAI_LIVE
from .openai_realtime import OPENAI_REALTIME
from .openai_responses import OPENAI_RESPONSES
from .openai_runs import OPENAI_RUNS
from .vertex_predict import VERTEX_PREDICT
from .xai_grpc import XAI_GRPC

FORMATS: tuple[Format, ...] = (
    ANTHROPIC_BATCH,
    ANTHROPIC_MESSAGES,
    ANTHROPIC_SESSIONS,
    BEDROCK_CONVERSE,
    BEDROCK_INVOKE,
    COHERE_CHAT,
    CURSOR,
    DASHSCOPE,
    GEMINI_GENERATE,
    GEMINI_INTERACTIONS,
    GEMINI_LIVE,
    LLAMA_CPP,
    LM_STUDIO,
    OLLAMA,
    OPENAI_AGENTS,
    OPENAI_BATCH,
    OPENAI_CHAT,
    OPENAI_COMPLETIONS,
    OPENAI_EMBEDDINGS,
    OPENAI_IMAGES,
    OPENAI_LIVE,
    OPENAI_REALTIME,
    OPENAI_RESPONSES,
    OPENAI_RUNS,
    OPENAI_SPEECH,
    OPENAI_TRANSCRIPTION,
    VERTEX_PREDICT,
    XAI_GRPC,
)

BY_NAME = {fmt.name: fmt for fmt in FORMATS}

__all__ = [
    "BY_NAME",
    "FORMATS",
    "ANTHROPIC_BATCH",
    "ANTHROPIC_MESSAGES",
    "ANTHROPIC_SESSIONS",
    "BEDROCK_CONVERSE",
    "BEDROCK_INVOKE",
    "COHERE_CHAT",
    "CURSOR",
    "DASHSCOPE",
    "GEMINI_GENERATE",
    "GEMINI_INTERACTIONS",
    "GEMINI_LIVE",
    "LLAMA_CPP",
    "LM_STUDIO",
    "OLLAMA",
    "OPENAI_AGENTS",
    "OPENAI_BATCH",
    "OPENAI_CHAT",
    "OPENAI_CHAT_MINIMAX",
    "OPENAI_COMPLETIONS",
    "OPENAI_EMBEDDINGS",
    "OPENAI_IMAGES",
    "OPENAI_LIVE",
    "OPENAI_REALTIME",
    "OPENAI_RESPONSES",
    "OPENAI_RUNS",
    "OPENAI_SPEECH",
    "OPENAI_TRANSCRIPTION",
    "VERTEX_PREDICT",
    "XAI_GRPC",
    "Format",
]
