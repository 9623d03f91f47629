/** One scale for every percentile shown: nothing below 90, and the top stretched, because that is where rarity is. */

/** Orders of magnitude of rarity: 90 → 1, 99 → 2, 99.9 → 3, 99.99 → 4 (the end of the scale). */
export function rarity(percentile: number): number {
  const above = 1 - Math.min(Math.max(percentile, 0), 100) / 100;
  return above <= 1e-4 ? 4 : Math.log10(1 / above);
}

/** Place on the colour scale: null below the 90th percentile, then 0 at 90 to 1 at 99.99 and above. */
export function level(percentile: number): number | null {
  return percentile < 90 ? null : (rarity(percentile) - 1) / 3;
}

/** Place on a timeline's height: 0 at percentile 0, 1 at 99.99. */
export function height(percentile: number): number {
  return rarity(percentile) / 4;
}

export interface Band {
  readonly from: number;
  readonly name: string;
  readonly words: string;
  /** The cue besides colour. */
  readonly underline: 0 | 1 | 2;
}

export const BANDS: readonly Band[] = [
  { from: 0, name: "below 90", words: "nothing unusual", underline: 0 },
  { from: 90, name: "90–99", words: "rarer than 9 of 10", underline: 0 },
  { from: 99, name: "99–99.9", words: "rarer than 99 of 100", underline: 1 },
  { from: 99.9, name: "99.9 and above", words: "rarer than 999 of 1,000", underline: 2 },
];

export function band(percentile: number): Band {
  return BANDS.findLast((each) => percentile >= each.from) ?? BANDS[0]!;
}

/** Where the bands of the scale begin. */
export const THRESHOLDS = [90, 99, 99.9] as const;
