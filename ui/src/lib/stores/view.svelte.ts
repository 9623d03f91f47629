/** How readings are looked at: the colouring, the concepts watched, the token chosen. */
import { MAX_WATCHED } from "../chat/request";
import { type Mode, parseMode, sameMode } from "../reading/value";
import { fields, load, save } from "../storage";

export interface Selection {
  readonly turn: string;
  readonly index: number;
}

export class View {
  mode = $state.raw<Mode>({ by: "strongest" });
  watch = $state.raw<readonly string[]>([]);
  selected = $state.raw<Selection | null>(null);

  constructor() {
    const kept = load("view", fields);
    this.mode = parseMode(kept.mode);
    this.watch = Array.isArray(kept.watch) ? kept.watch.filter((id) => typeof id === "string") : [];
  }

  colourBy(mode: Mode): void {
    this.mode = mode;
    this.#keep();
  }

  watching(id: string): boolean {
    return this.watch.includes(id);
  }

  /** Watches a concept in the answers to come, and colours by it. */
  add(id: string): void {
    if (!this.watching(id)) this.watch = [...this.watch, id].slice(-MAX_WATCHED);
    this.colourBy({ by: "concept", id });
  }

  remove(id: string): void {
    this.watch = this.watch.filter((each) => each !== id);
    if (sameMode(this.mode, { by: "concept", id })) this.mode = { by: "strongest" };
    this.#keep();
  }

  select(turn: string, index: number): void {
    this.selected = { turn, index };
  }

  close(): void {
    this.selected = null;
  }

  #keep(): void {
    save("view", { mode: this.mode, watch: this.watch });
  }
}
