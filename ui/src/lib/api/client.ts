/** The calls that the page makes, all to its own origin. */
import { ApiError, UnreachableError, errorDetail } from "./errors";
import { readEvents } from "./sse";
import type { ChatChunk, ChatRequest, ConceptList, Info } from "./types";

const UNREACHABLE = "The server does not answer.";
const CUT = "The connection was lost before the answer was complete.";

async function call(path: string, key: string, init: RequestInit): Promise<Response> {
  const headers = new Headers(init.headers);
  if (key) headers.set("authorization", `Bearer ${key}`);
  let response: Response;
  try {
    response = await fetch(path, { ...init, headers });
  } catch (error) {
    const reason: unknown = init.signal?.aborted ? init.signal.reason : null;
    if (reason && !(reason instanceof DOMException && reason.name === "TimeoutError")) throw error;
    throw new UnreachableError(UNREACHABLE);
  }
  if (response.ok) return response;
  const body: unknown = await response.json().catch(() => null);
  const detail = errorDetail(body) ?? {
    message: `The server answered ${response.status} ${response.statusText}`.trim(),
    type: "error",
    param: null,
    code: null,
  };
  throw new ApiError(response.status, detail);
}

export async function fetchInfo(key: string, signal?: AbortSignal): Promise<Info> {
  const response = await call("v1/hatcat/info", key, { signal: signal ?? null });
  return (await response.json()) as Info;
}

export async function searchConcepts(key: string, query: string, limit: number, signal?: AbortSignal): Promise<ConceptList> {
  const address = `v1/hatcat/concepts?${new URLSearchParams({ q: query, limit: String(limit) })}`;
  const response = await call(address, key, { signal: signal ?? null });
  return (await response.json()) as ConceptList;
}

/** Chunks of a streamed answer until `[DONE]`; an `error` event is thrown, and so is an end without `[DONE]`. */
export async function* chatChunks(events: AsyncIterable<string>): AsyncGenerator<ChatChunk> {
  for await (const event of events) {
    if (event === "[DONE]") return;
    const body: unknown = JSON.parse(event);
    const detail = errorDetail(body);
    if (detail) throw new ApiError(500, detail);
    yield body as ChatChunk;
  }
  throw new UnreachableError(CUT);
}

export async function* streamChat(request: ChatRequest, key: string, signal: AbortSignal): AsyncGenerator<ChatChunk> {
  const response = await call("v1/chat/completions", key, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify(request),
    signal,
  });
  if (!response.body) throw new UnreachableError(CUT);
  try {
    yield* chatChunks(readEvents(response.body));
  } catch (error) {
    if (signal.aborted || error instanceof ApiError) throw error;
    if (error instanceof SyntaxError) throw new Error("the server sent an event that is not JSON");
    throw new UnreachableError(CUT);
  }
}
