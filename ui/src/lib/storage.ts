/** What the browser keeps for this page. A full or forbidden storage loses convenience, never the page. */

const PREFIX = "hatcat.";

export function load<T>(name: string, parse: (value: unknown) => T, store = area("localStorage")): T {
  try {
    const text = store?.getItem(PREFIX + name) ?? null;
    return parse(text === null ? undefined : JSON.parse(text));
  } catch {
    return parse(undefined);
  }
}

/** False when it could not be kept. */
export function save(name: string, value: unknown, store = area("localStorage")): boolean {
  try {
    store?.setItem(PREFIX + name, JSON.stringify(value));
    return store !== null;
  } catch {
    return false;
  }
}

export function session(): Storage | null {
  return area("sessionStorage");
}

function area(name: "localStorage" | "sessionStorage"): Storage | null {
  try {
    return globalThis[name] ?? null;
  } catch {
    return null; // a browser may forbid even to ask
  }
}

/** An object's fields; an empty object for anything else. */
export function fields(value: unknown): Record<string, unknown> {
  return typeof value === "object" && value !== null ? (value as Record<string, unknown>) : {};
}

export function numberIn(value: unknown, low: number, high: number, otherwise: number): number {
  return typeof value === "number" && value >= low && value <= high ? value : otherwise;
}

export function stringOr(value: unknown, otherwise: string): string {
  return typeof value === "string" ? value : otherwise;
}
