/** The body of a chat request. */
import type { ChatRequest, Message } from "../api/types";

export interface Sampling {
  readonly system: string;
  readonly temperature: number;
  readonly maxTokens: number;
}

/** Alternatives shown for each token, and concepts listed for it. */
export const ALTERNATIVES = 5;
export const TOP_CONCEPTS = 5;
export const MAX_WATCHED = 256;

export function chatRequest(
  model: string,
  messages: readonly Message[],
  sampling: Sampling,
  watch: readonly string[],
): ChatRequest {
  const system: Message[] = sampling.system.trim() ? [{ role: "system", content: sampling.system }] : [];
  return {
    model,
    messages: [...system, ...messages],
    temperature: sampling.temperature,
    max_completion_tokens: sampling.maxTokens,
    logprobs: true,
    top_logprobs: ALTERNATIVES,
    stream: true,
    stream_options: { include_usage: true },
    hatcat: { detail: "tokens", top: TOP_CONCEPTS, watch: watch.slice(0, MAX_WATCHED) },
  };
}
