// A whole answer and a stream from either API of OpenAI: what the SDK itself says they have used.
import OpenAI from "openai"

const client = new OpenAI({apiKey: "sk-test", maxRetries: 0})
const chat = {model: "gpt-5.4", messages: [{role: "user", content: "Hi"}]}
const response = {model: "gpt-5.4", input: "Hi"}

const ofChat = ({prompt_tokens, prompt_tokens_details: {cached_tokens, cache_write_tokens}, completion_tokens}) =>
  [prompt_tokens - cached_tokens - cache_write_tokens, cached_tokens, cache_write_tokens, completion_tokens]
const ofResponse = ({input_tokens, input_tokens_details: {cached_tokens, cache_write_tokens}, output_tokens}) =>
  [input_tokens - cached_tokens - cache_write_tokens, cached_tokens, cache_write_tokens, output_tokens]

const rows = []
rows.push(["openai_chat", "json", ...ofChat((await client.chat.completions.create(chat)).usage)])
for await (const chunk of await client.chat.completions.create({...chat, stream: true, stream_options: {include_usage: true}}))
  if (chunk.usage) rows.push(["openai_chat", "sse", ...ofChat(chunk.usage)])
rows.push(["openai_responses", "json", ...ofResponse((await client.responses.create(response)).usage)])
for await (const event of await client.responses.create({...response, stream: true}))
  if (event.type === "response.completed") rows.push(["openai_responses", "sse", ...ofResponse(event.response.usage)])
console.log(JSON.stringify(rows))
