/** The turns of a conversation: what was said, and what was read while it was said. */
import type { Message } from "../api/types";
import type { Failure } from "../api/errors";
import { type Answer, EMPTY } from "../reading/answer";
import { type Segment, segment } from "../reading/segments";
import { fields, stringOr } from "../storage";

export class UserTurn {
  readonly role = "user";
  readonly id: string = newId();
  readonly text: string;

  constructor(text: string) {
    this.text = text;
  }
}

export type Status = "streaming" | "done" | "stopped" | "failed";

export class AnswerTurn {
  readonly role = "assistant";
  readonly id: string = newId();
  answer = $state.raw<Answer>(EMPTY);
  status = $state<Status>("streaming");
  failure = $state.raw<Failure | null>(null);

  #before: Segment[] = [];
  readonly segments: readonly Segment[] = $derived.by(() => (this.#before = segment(this.answer, this.#before)));
}

export type Turn = UserTurn | AnswerTurn;

/** The messages to send for these turns; answers without any text are left out. */
export function messages(turns: readonly Turn[]): Message[] {
  return turns.flatMap((turn): Message[] => {
    if (turn.role === "user") return [{ role: "user", content: turn.text }];
    return turn.answer.content ? [{ role: "assistant", content: turn.answer.content }] : [];
  });
}

/** Turns as plain values; without readings they are much smaller. */
export function freeze(turns: readonly Turn[], withReadings: boolean): unknown[] {
  return turns.map((turn) => {
    if (turn.role === "user") return { role: "user", text: turn.text };
    const answer = withReadings ? turn.answer : { content: turn.answer.content };
    return { role: "assistant", answer, status: turn.status, failure: turn.failure };
  });
}

export function thaw(value: unknown): Turn[] {
  if (!Array.isArray(value)) return [];
  return value.flatMap((each): Turn[] => {
    const kept = fields(each);
    if (kept.role === "user") return [new UserTurn(stringOr(kept.text, ""))];
    if (kept.role !== "assistant") return [];
    const turn = new AnswerTurn();
    const answer = { ...EMPTY, ...fields(kept.answer) };
    turn.answer = { ...answer, readings: answer.readings.map((reading) => reading ?? undefined) };
    turn.status = kept.status === "done" || kept.status === "failed" ? kept.status : "stopped";
    turn.failure = (kept.failure as Failure | null | undefined) ?? null;
    return [turn];
  });
}

let count = 0;
function newId(): string {
  return `turn-${++count}`;
}
