// A whole answer and a stream: what the SDK itself says they have used.
import {GoogleGenAI} from "@google/genai"

const client = new GoogleGenAI({apiKey: "test"})
const ask = {model: "gemini-3.8-flash", contents: "Hi"}

const of = ({promptTokenCount, cachedContentTokenCount, candidatesTokenCount, thoughtsTokenCount}) =>
  [promptTokenCount - cachedContentTokenCount, cachedContentTokenCount, 0, candidatesTokenCount + thoughtsTokenCount]

const whole = (await client.models.generateContent(ask)).usageMetadata
let streamed
for await (const chunk of await client.models.generateContentStream(ask)) streamed = chunk.usageMetadata
console.log(JSON.stringify([["gemini_generate", "json", ...of(whole)], ["gemini_generate", "sse", ...of(streamed)]]))
