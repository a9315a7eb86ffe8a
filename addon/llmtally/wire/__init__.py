"""Bytes in, messages out: content codings, framings and JSON. Nothing here knows what an LLM is.

`content_coding` undoes compression. `framing` chooses the decoder that cuts a body into messages:
`sse`, `ndjson` (both built on `blocks`), `eventstream`, `grpc`, or one of `json_body`; all do what
`messages` says. `json_body`, `json_skim` and `json_members` parse; `multipart` reads forms.
"""
