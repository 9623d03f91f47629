/** What one token shows under a chosen way of colouring. */
import type { TokenReading } from "../api/types";

export type Mode =
  | { readonly by: "strongest" }
  | { readonly by: "divergence" }
  | { readonly by: "concept"; readonly id: string };

/**
 * `pending`: not read yet. `unlisted`: read, but this concept was neither watched nor among the strongest, so its value is
 * not known. Only `measured` carries a value; nothing else is ever shown as a low one.
 */
export type Value =
  | { readonly state: "measured"; readonly percentile: number; readonly id: string }
  | { readonly state: "pending" | "not_measured" | "uncalibrated" | "unlisted" };

export function valueOf(reading: TokenReading | null | undefined, mode: Mode): Value {
  if (!reading) return { state: "pending" };
  if (reading.state !== "measured") return { state: reading.state };
  if (mode.by === "concept") {
    const percentile = percentileOf(reading, mode.id);
    return percentile === null ? { state: "unlisted" } : { state: "measured", percentile, id: mode.id };
  }
  if (mode.by === "divergence") {
    const divergence = reading.divergence;
    if (!divergence) return { state: "unlisted" };
    return { state: "measured", percentile: 100 * (1 - divergence.p), id: divergence.id };
  }
  const strongest = (reading.concepts ?? []).reduce<{ id: string; percentile: number } | null>(
    (best, each) => (best && best.percentile >= each.percentile ? best : each),
    null,
  );
  return strongest
    ? { state: "measured", percentile: strongest.percentile, id: strongest.id }
    : { state: "unlisted" };
}

/** A concept's percentile at a token, if it was watched there or among the strongest. */
export function percentileOf(reading: TokenReading, id: string): number | null {
  return reading.watched?.[id] ?? reading.concepts?.find((each) => each.id === id)?.percentile ?? null;
}

export function sameMode(a: Mode, b: Mode): boolean {
  return a.by === b.by && (a.by !== "concept" || b.by !== "concept" || a.id === b.id);
}

/** A mode out of storage, if it is one. */
export function parseMode(value: unknown): Mode {
  if (typeof value === "object" && value !== null && "by" in value) {
    if (value.by === "divergence") return { by: "divergence" };
    if (value.by === "concept" && "id" in value && typeof value.id === "string") return { by: "concept", id: value.id };
  }
  return { by: "strongest" };
}

/** Whether any token read so far lacks a value for this concept: then the answer was not watched for it. */
export function partlyUnknown(readings: readonly (TokenReading | undefined)[], mode: Mode): boolean {
  return mode.by === "concept" && readings.some((each) => each && valueOf(each, mode).state === "unlisted");
}
