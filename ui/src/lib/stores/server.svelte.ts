/** What the server says of itself, asked again only while that may change: an idle server is left to sleep. */
import { fetchInfo } from "../api/client";
import { describe, type Failure } from "../api/errors";
import type { Info } from "../api/types";

const RETRY_MS = 3_000;
const PROGRESS_MS = 5_000;

export class Server {
  info = $state.raw<Info | null>(null);
  problem = $state.raw<Failure | null>(null);

  readonly #key: () => string;
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(key: () => string) {
    this.#key = key;
  }

  start(): () => void {
    const look = () => {
      if (!document.hidden) void this.refresh();
    };
    document.addEventListener("visibilitychange", look);
    void this.refresh();
    return () => {
      document.removeEventListener("visibilitychange", look);
      clearTimeout(this.#timer);
    };
  }

  async refresh(): Promise<Info | null> {
    clearTimeout(this.#timer);
    try {
      this.info = await fetchInfo(this.#key(), AbortSignal.timeout(10_000));
      this.problem = null;
    } catch (error) {
      this.problem = describe(error);
    }
    clearTimeout(this.#timer);
    const wait = this.problem ? RETRY_MS : changing(this.info) ? PROGRESS_MS : null;
    if (wait !== null && !document.hidden) this.#timer = setTimeout(() => void this.refresh(), wait);
    return this.problem ? null : this.info;
  }
}

/** Whether the server is on its way to another state by itself. */
export function changing(info: Info | null): boolean {
  if (!info || info.state === "starting" || info.state === "restarting") return true;
  return Boolean(info.pack && (info.pack.training || info.pack.state === "training"));
}
