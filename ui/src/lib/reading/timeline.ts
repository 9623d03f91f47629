/** Lines over the tokens of an answer. */
import type { TokenReading } from "../api/types";
import { height } from "./scale";
import { type Mode, valueOf } from "./value";

/** One value a token; null where nothing was measured or listed, which shows as a gap. */
export type Series = readonly (number | null)[];

export function series(readings: readonly (TokenReading | undefined)[], mode: Mode): Series {
  return Array.from(readings, (reading) => {
    const value = valueOf(reading, mode);
    return value.state === "measured" ? value.percentile : null;
  });
}

/** An SVG path in a box of `values.length` by `tall`, broken at gaps. A value without neighbours is a short dash. */
export function linePath(values: Series, tall: number): string {
  const parts: string[] = [];
  for (const [at, value] of values.entries()) {
    if (value === null) continue;
    const y = round((1 - height(value)) * tall);
    const [before, after] = [values[at - 1] ?? null, values[at + 1] ?? null];
    if (before === null && after === null) parts.push(`M${at + 0.2} ${y}H${at + 0.8}`);
    else parts.push(`${before === null ? "M" : "L"}${at + 0.5} ${y}`);
  }
  return parts.join("");
}

/** The token under a horizontal place of 0 to 1. */
export function tokenAt(place: number, count: number): number {
  return Math.min(Math.max(Math.floor(place * count), 0), count - 1);
}

/** The highest value and where it stands. */
export function peak(values: Series): { token: number; value: number } | null {
  let best: { token: number; value: number } | null = null;
  for (const [token, value] of values.entries()) {
    if (value !== null && (best === null || value > best.value)) best = { token, value };
  }
  return best;
}

function round(value: number): number {
  return Math.round(value * 100) / 100;
}
