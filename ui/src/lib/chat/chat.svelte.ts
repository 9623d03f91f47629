/** The conversation: sending, streaming, stopping, editing, asking again. */
import type { ChatChunk, ChatRequest, Message } from "../api/types";
import { describe, type Failure } from "../api/errors";
import { extend } from "../reading/answer";
import { load, save } from "../storage";
import { AnswerTurn, type Turn, UserTurn, freeze, messages, thaw } from "./turns.svelte";

/** What the conversation needs from outside. */
export interface Outside {
  /** The request for these messages; throws when there is no model to ask. */
  request(messages: Message[]): Promise<ChatRequest>;
  stream(request: ChatRequest, signal: AbortSignal): AsyncIterable<ChatChunk>;
  /** Called when an answer has ended, well or not. */
  ended(turn: AnswerTurn): void;
}

/** Chunks that come within this time are drawn together. */
const DRAW_EVERY_MS = 40;

export class Chat {
  turns = $state.raw<readonly Turn[]>([]);
  /** The turns before the last edit, new answer or new chat took some of them away. */
  replaced = $state.raw<readonly Turn[] | null>(null);
  readonly streaming: AnswerTurn | null = $derived.by(() => {
    const last = this.turns.at(-1);
    return last?.role === "assistant" && last.status === "streaming" ? last : null;
  });

  readonly #outside: Outside;
  #abort: AbortController | null = null;

  constructor(outside: Outside) {
    this.#outside = outside;
    this.turns = load("chat", thaw);
  }

  async send(text: string): Promise<void> {
    this.replaced = null;
    await this.#ask([...this.turns, new UserTurn(text)]);
  }

  /** Another text in place of a message; what followed it is replaced. */
  async edit(turn: UserTurn, text: string): Promise<void> {
    const kept = this.#before(turn);
    await this.#ask([...kept, new UserTurn(text)]);
  }

  /** A new answer in place of one, or the first answer to the last message. */
  async answerAgain(turn: Turn): Promise<void> {
    const kept = this.#before(turn);
    await this.#ask(turn.role === "user" ? [...kept, turn] : kept);
  }

  stop(): void {
    this.#abort?.abort();
  }

  clear(): void {
    this.stop();
    this.replaced = this.turns.length > 0 ? this.turns : null;
    this.turns = [];
    this.#keep();
  }

  undo(): void {
    if (!this.replaced) return;
    this.stop();
    this.turns = this.replaced;
    this.replaced = null;
    this.#keep();
  }

  find(id: string): AnswerTurn | null {
    const turn = this.turns.find((each) => each.id === id);
    return turn?.role === "assistant" ? turn : null;
  }

  #before(turn: Turn): readonly Turn[] {
    this.stop();
    const at = this.turns.indexOf(turn);
    const nothingLost = at === this.turns.length - 1 && (turn.role === "user" || turn.status === "failed");
    this.replaced = nothingLost ? null : this.turns;
    return this.turns.slice(0, at);
  }

  async #ask(turns: readonly Turn[]): Promise<void> {
    this.stop();
    const turn = new AnswerTurn();
    const abort = new AbortController();
    this.#abort = abort;
    this.turns = [...turns, turn];
    this.#keep();
    let failure: Failure | null = null;
    try {
      const request = await this.#outside.request(messages(turns));
      await this.#draw(turn, this.#outside.stream(request, abort.signal));
    } catch (error) {
      if (!abort.signal.aborted) failure = describe(error);
    }
    turn.failure = failure;
    turn.status = failure ? "failed" : abort.signal.aborted ? "stopped" : "done";
    if (this.#abort === abort) this.#abort = null;
    this.#keep();
    this.#outside.ended(turn);
  }

  async #draw(turn: AnswerTurn, chunks: AsyncIterable<ChatChunk>): Promise<void> {
    let waiting: ChatChunk[] = [];
    let timer: ReturnType<typeof setTimeout> | null = null;
    const flush = () => {
      timer = null;
      if (waiting.length > 0) turn.answer = extend(turn.answer, waiting);
      waiting = [];
    };
    try {
      for await (const chunk of chunks) {
        waiting.push(chunk);
        timer ??= setTimeout(flush, DRAW_EVERY_MS);
      }
    } finally {
      if (timer) clearTimeout(timer);
      flush();
    }
  }

  #keep(): void {
    if (!save("chat", freeze(this.turns, true))) save("chat", freeze(this.turns, false));
  }
}
