/** One answer, put together from the chunks of a stream. A reading may come later than its text; `index` joins them. */
import type { Alert, ChatChunk, Summary, TokenLogprob, TokenReading, Usage } from "../api/types";

export interface Answer {
  readonly content: string;
  /** The model that said it; empty until the first chunk. */
  readonly model: string;
  /** By token index; a hole is a token that has not been read. */
  readonly readings: readonly (TokenReading | undefined)[];
  readonly logprobs: readonly TokenLogprob[];
  readonly alerts: readonly Alert[];
  readonly summary: Summary | null;
  readonly usage: Usage | null;
  readonly finish: string | null;
}

export const EMPTY: Answer = {
  content: "",
  model: "",
  readings: [],
  logprobs: [],
  alerts: [],
  summary: null,
  usage: null,
  finish: null,
};

/** The answer after these chunks. Only choice 0 is taken: the page asks for one. */
export function extend(answer: Answer, chunks: readonly ChatChunk[]): Answer {
  let { content, model, summary, usage, finish } = answer;
  const readings = [...answer.readings];
  const logprobs = [...answer.logprobs];
  const alerts = [...answer.alerts];
  for (const chunk of chunks) {
    model = chunk.model;
    usage = chunk.usage ?? usage;
    for (const choice of chunk.choices ?? []) {
      if (choice.index !== 0) continue;
      content += choice.delta.content ?? "";
      finish = choice.finish_reason ?? finish;
      logprobs.push(...(choice.logprobs?.content ?? []));
    }
    const extra = chunk.hatcat;
    if (!extra || (extra.choice ?? 0) !== 0) continue;
    for (const reading of extra.tokens ?? []) readings[reading.index] = reading;
    for (const alert of extra.alerts ?? []) addAlert(alerts, alert);
    summary = extra.summary ?? summary;
  }
  return { content, model, readings, logprobs, alerts, summary, usage, finish };
}

/** A later alert about the same concept by the same look is the earlier one, restated. */
function addAlert(alerts: Alert[], alert: Alert): void {
  const at = alerts.findIndex((known) => known.id === alert.id && known.look === alert.look);
  if (at < 0) alerts.push(alert);
  else alerts[at] = alert;
}

/** Every concept named anywhere in these readings. */
export function conceptIds(readings: readonly (TokenReading | undefined)[]): Set<string> {
  const ids = new Set<string>();
  for (const reading of readings) {
    for (const concept of reading?.concepts ?? []) ids.add(concept.id);
    if (reading?.divergence) ids.add(reading.divergence.id);
  }
  return ids;
}
