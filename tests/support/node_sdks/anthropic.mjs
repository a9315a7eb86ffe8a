// A whole answer and a stream: what the SDK itself says they have used.
import Anthropic from "@anthropic-ai/sdk"

const client = new Anthropic({apiKey: "sk-ant-api03-test", maxRetries: 0})
const ask = {model: "claude-opus-4-8", max_tokens: 9, messages: [{role: "user", content: "Hi"}]}

const of = ({input_tokens, cache_read_input_tokens, cache_creation_input_tokens, output_tokens}) =>
  [input_tokens, cache_read_input_tokens, cache_creation_input_tokens, output_tokens]

console.log(JSON.stringify([
  ["anthropic_messages", "json", ...of((await client.messages.create(ask)).usage)],
  ["anthropic_messages", "sse", ...of((await client.messages.stream(ask).finalMessage()).usage)],
]))
