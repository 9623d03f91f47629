/** Numbers and names as people read them. */

/** A percentile: two decimals above 99 and never rounded up, so that 99.996 does not claim to be 100. */
export function percentileText(percentile: number): string {
  const digits = percentile >= 99 && percentile < 100 ? 2 : percentile >= 90 && percentile < 99 ? 1 : 0;
  const factor = 10 ** digits;
  return (Math.floor(percentile * factor + 1e-6) / factor).toFixed(digits);
}

/** How rare a percentile is among benign tokens. */
export function rarityText(percentile: number): string {
  if (percentile >= 100) return "higher than every benign token seen";
  if (percentile < 90) return `higher than ${Math.floor(percentile)} of 100 benign tokens`;
  const of = percentile >= 99.9 ? 10_000 : percentile >= 99 ? 1_000 : 100;
  const [count, whole] = reduce(Math.floor((percentile / 100) * of + 1e-6), of);
  return `rarer than ${number(count)} of ${number(whole)} benign tokens`;
}

/** 990 of 1,000 reads better as 99 of 100. */
function reduce(count: number, of: number): [number, number] {
  return of > 10 && count % 10 === 0 ? reduce(count / 10, of / 10) : [count, of];
}

/** A share as "about 3 in 1,000". */
export function shareText(share: number): string {
  if (share <= 1e-6) return "fewer than 1 in 1,000,000";
  if (share >= 0.95) return "nearly all";
  let of = 10;
  while (share * of < 0.95) of *= 10;
  return `about ${Math.round(share * of)} in ${number(of)}`;
}

export function number(value: number): string {
  return value.toLocaleString("en-GB");
}

export function plural(count: number, noun: string): string {
  return `${number(count)} ${noun}${count === 1 ? "" : "s"}`;
}

/** A duration as "about 3 min". */
export function durationText(seconds: number): string {
  if (seconds < 1) return "less than a second";
  if (seconds < 90) return `about ${Math.round(seconds)} s`;
  if (seconds < 90 * 60) return `about ${Math.round(seconds / 60)} min`;
  return `about ${Math.round(seconds / 3600)} h`;
}

const PARTS: Record<string, string> = { n: "noun", v: "verb", a: "adjective", s: "adjective", r: "adverb" };

/** A concept's id made readable, for as long as its name is not known: `bank.n.01` → bank (noun 1). */
export function readableId(id: string): string {
  const sense = /^(.+)\.([nvasr])\.(\d+)$/.exec(id);
  const words = (sense?.[1] ?? id).replaceAll(/[_-]+/g, " ");
  return sense ? `${words} (${PARTS[sense[2]!]} ${Number(sense[3])})` : words;
}

/** A token's text with white space made visible. */
export function visible(text: string): string {
  if (text === "") return "(no text)";
  return text.replaceAll(" ", "␣").replaceAll("\n", "↵").replaceAll("\t", "⇥");
}
