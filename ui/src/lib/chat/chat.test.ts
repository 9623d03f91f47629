import { describe, expect, it } from "vitest";
import { ApiError } from "../api/errors";
import type { ChatChunk, ChatRequest, Message } from "../api/types";
import { chunk, reading } from "../reading/examples";
import { Chat, type Outside } from "./chat.svelte";
import { chatRequest } from "./request";
import { AnswerTurn, UserTurn, freeze, messages, thaw } from "./turns.svelte";

const sampling = { system: "", temperature: 0.7, maxTokens: 64 };

function outside(stream: Outside["stream"]): Outside & { sent: Message[][] } {
  const sent: Message[][] = [];
  return {
    sent,
    request: async (given) => {
      sent.push(given);
      return chatRequest("m", given, sampling, []);
    },
    stream,
    ended: () => undefined,
  };
}

async function* say(...texts: string[]): AsyncGenerator<ChatChunk> {
  for (const [index, text] of texts.entries()) yield chunk(text, { tokens: [reading(index, text)] });
}

/** Says one word, then waits until it is stopped. */
async function* hang(_: ChatRequest, signal: AbortSignal): AsyncGenerator<ChatChunk> {
  yield* say("Once");
  await new Promise((_, reject) => signal.addEventListener("abort", () => reject(new DOMException("", "AbortError"))));
}

const texts = (chat: Chat) => chat.turns.map((turn) => (turn.role === "user" ? turn.text : turn.answer.content));

describe("Chat", () => {
  it("sends the whole conversation and puts the answer together", async () => {
    const world = outside(() => say("Hi", " there"));
    const chat = new Chat(world);
    await chat.send("Hello");
    await chat.send("Again");
    expect(texts(chat)).toEqual(["Hello", "Hi there", "Again", "Hi there"]);
    expect(world.sent[1]!.map((each) => each.content)).toEqual(["Hello", "Hi there", "Again"]);
    expect((chat.turns[1] as AnswerTurn).segments.map((each) => each.index)).toEqual([0, 1]);
  });

  it("keeps what came before a stop", async () => {
    const chat = new Chat(outside(hang));
    const sent = chat.send("Tell me a story");
    await new Promise((resolve) => setTimeout(resolve, 60));
    expect(chat.streaming?.answer.content).toBe("Once");
    chat.stop();
    await sent;
    expect(chat.turns.at(-1)).toMatchObject({ status: "stopped", failure: null });
    expect(texts(chat)).toEqual(["Tell me a story", "Once"]);
  });

  it("shows an error as part of the conversation, and can ask again", async () => {
    let fails = true;
    const busy = new ApiError(429, { message: "busy", type: "rate_limit", param: null, code: null });
    const chat = new Chat(
      outside(async function* () {
        if (fails) throw busy;
        yield* say("Hi");
      }),
    );
    await chat.send("Hello");
    const failed = chat.turns.at(-1) as AnswerTurn;
    expect(failed).toMatchObject({ status: "failed", failure: { message: "busy" } });
    fails = false;
    await chat.answerAgain(failed);
    expect(texts(chat)).toEqual(["Hello", "Hi"]);
  });

  it("edits a message, and gives back what the edit replaced", async () => {
    const world = outside(() => say("Hi"));
    const chat = new Chat(world);
    await chat.send("One");
    await chat.send("Two");
    await chat.edit(chat.turns[0] as UserTurn, "Three");
    expect(texts(chat)).toEqual(["Three", "Hi"]);
    expect(world.sent.at(-1)).toEqual([{ role: "user", content: "Three" }]);
    chat.undo();
    expect(texts(chat)).toEqual(["One", "Hi", "Two", "Hi"]);
    chat.clear();
    expect(chat.turns).toEqual([]);
    chat.undo();
    expect(chat.turns.length).toBe(4);
  });
});

describe("turns", () => {
  it("come back from storage as they were, and as stopped when the page went away", async () => {
    const chat = new Chat(outside(() => say("Hi")));
    await chat.send("Hello");
    const kept = JSON.parse(JSON.stringify(freeze([...chat.turns, new AnswerTurn()], true))) as unknown;
    const turns = thaw(kept);
    expect(messages(turns).map((each) => each.content)).toEqual(["Hello", "Hi"]);
    expect((turns[1] as AnswerTurn).answer.readings[0]?.text).toBe("Hi");
    expect((turns[2] as AnswerTurn).status).toBe("stopped");
    expect(thaw([{ role: "system" }, 3, null])).toEqual([]);
    expect(thaw("x")).toEqual([]);
  });

  it("send a system prompt only if there is one, and never more watched concepts than allowed", () => {
    const many = Array.from({ length: 300 }, (_, at) => `c${at}`);
    const request = chatRequest("m", [{ role: "user", content: "a" }], { ...sampling, system: "Be brief." }, many);
    expect(request.messages.map((each) => each.role)).toEqual(["system", "user"]);
    expect(request.hatcat?.watch).toHaveLength(256);
    expect(chatRequest("m", [], { ...sampling, system: "  " }, []).messages).toEqual([]);
  });
});
