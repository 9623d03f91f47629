/** Small readings and chunks for the tests. */
import type { ChatChunk, TokenReading } from "../api/types";

export function reading(index: number, text: string, concepts: Record<string, number> = {}): TokenReading {
  return {
    index,
    text,
    logprob: -0.5,
    state: "measured",
    concepts: Object.entries(concepts).map(([id, percentile]) => ({ id, percentile, text: null, layers: [12] })),
    watched: null,
    divergence: null,
  };
}

export function chunk(content: string, hatcat: Partial<ChatChunk["hatcat"]> = null, finish: "stop" | null = null): ChatChunk {
  return {
    id: "chatcmpl-1",
    object: "chat.completion.chunk",
    created: 0,
    model: "m",
    system_fingerprint: "f",
    choices: [{ index: 0, delta: { content }, logprobs: null, finish_reason: finish }],
    usage: null,
    hatcat: hatcat ? { choice: 0, ...hatcat } : null,
  };
}
