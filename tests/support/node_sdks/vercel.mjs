// A whole answer and a stream: what the SDK itself says they have used.
import {createOpenAI} from "@ai-sdk/openai"
import {generateText, streamText} from "ai"

const ask = {model: createOpenAI({apiKey: "sk-test"})("gpt-5.4"), prompt: "Hi", maxRetries: 0}

const of = ({inputTokenDetails: {noCacheTokens, cacheReadTokens, cacheWriteTokens}, outputTokens}) =>
  [noCacheTokens, cacheReadTokens, cacheWriteTokens, outputTokens]

console.log(JSON.stringify([
  ["openai_responses", "json", ...of((await generateText(ask)).usage)],
  ["openai_responses", "sse", ...of(await streamText(ask).usage)],
]))
