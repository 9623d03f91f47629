/** Concepts known by name. A reading carries ids only; names are learnt from searches. */
import { SvelteMap } from "svelte/reactivity";
import { searchConcepts } from "../api/client";
import type { ConceptInfo } from "../api/types";
import { readableId } from "../reading/words";

const FIRST_LOAD = 200;

export class Concepts {
  readonly known = new SvelteMap<string, ConceptInfo>();
  readonly #asked = new Set<string>();
  readonly #key: () => string;

  constructor(key: () => string) {
    this.#key = key;
  }

  name(id: string): string {
    return this.known.get(id)?.name ?? readableId(id);
  }

  async search(query: string, limit = 20, signal?: AbortSignal): Promise<ConceptInfo[]> {
    const { concepts } = await searchConcepts(this.#key(), query, limit, signal);
    for (const concept of concepts) this.known.set(concept.id, concept);
    return concepts;
  }

  /** The names of a small pack at once, so that tokens need not be looked up one by one. */
  async loadSome(): Promise<void> {
    await this.search("", FIRST_LOAD).catch(() => undefined);
  }

  /** Looks up a concept that is shown but not known. Each is asked for once. */
  async ensure(id: string): Promise<void> {
    if (this.known.has(id) || this.#asked.has(id)) return;
    this.#asked.add(id);
    await this.search(id, 5).catch(() => this.#asked.delete(id));
  }
}
