/** The text of an answer cut into its tokens, as far as the tokens are known. */
import type { TokenLogprob, TokenReading } from "../api/types";
import type { Answer } from "./answer";

export interface Segment {
  /** Token index, or null for the rest that no known token covers. */
  readonly index: number | null;
  readonly text: string;
  readonly reading: TokenReading | null;
  readonly logprob: TokenLogprob | null;
}

/**
 * Segments whose texts join to exactly `answer.content`. Tokens count only as long as their texts follow the content;
 * what comes after the first that does not (or is not known yet) stays one uncoloured rest. Segments that did not change
 * since `before` are the same objects, so that a page need not draw them again.
 */
export function segment(answer: Answer, before: readonly Segment[] = []): Segment[] {
  const { content, readings, logprobs } = answer;
  const segments: Segment[] = [];
  const count = Math.max(readings.length, logprobs.length);
  const add = (index: number | null, text: string, reading: TokenReading | null, logprob: TokenLogprob | null) => {
    const old = before[segments.length];
    const same = old && old.index === index && old.text === text && old.reading === reading && old.logprob === logprob;
    segments.push(same ? old : { index, text, reading, logprob });
  };
  let position = 0;
  for (let index = 0; index < count; index++) {
    const reading = readings[index] ?? null;
    const logprob = logprobs[index] ?? null;
    const text = reading?.text ?? logprob?.token;
    if (text === undefined) break;
    if (!content.startsWith(text, position)) {
      const rest = content.slice(position);
      // A stop string or text held back for one cuts a token short: its visible part is still that token's.
      if (rest === "" || !text.startsWith(rest)) break;
      add(index, rest, reading, logprob);
      return segments;
    }
    add(index, text, reading, logprob);
    position += text.length;
  }
  if (position < content.length) add(null, content.slice(position), null, null);
  return segments;
}

/** The token before (-1) or after (+1) one, among those that show any text. */
export function neighbour(segments: readonly Segment[], index: number, step: -1 | 1): number | null {
  const shown = segments.filter((each) => each.index !== null && each.text !== "");
  const at = shown.findIndex((each) => each.index === index);
  return shown[at + step]?.index ?? null;
}

/** The first or last token that shows any text. */
export function edge(segments: readonly Segment[], which: "first" | "last"): number | null {
  const shown = segments.filter((each) => each.index !== null && each.text !== "");
  return shown.at(which === "first" ? 0 : -1)?.index ?? null;
}
