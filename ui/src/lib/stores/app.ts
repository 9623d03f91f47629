/** The page's stores, made once and joined here. */
import { streamChat } from "../api/client";
import { UnreachableError } from "../api/errors";
import { Chat } from "../chat/chat.svelte";
import { chatRequest } from "../chat/request";
import { Concepts } from "./concepts.svelte";
import { Server } from "./server.svelte";
import { Settings } from "./settings.svelte";
import { View } from "./view.svelte";

export const settings = new Settings();
export const view = new View();
export const server = new Server(() => settings.key);
export const concepts = new Concepts(() => settings.key);

export const chat = new Chat({
  async request(messages) {
    const model = server.info?.model ?? (await server.refresh())?.model;
    if (!model) throw new UnreachableError(server.problem?.message ?? "The server has not loaded its model yet.");
    return chatRequest(model.id, messages, settings, view.watch);
  },
  stream: (request, signal) => streamChat(request, settings.key, signal),
  ended(turn) {
    if (turn.status === "failed") void server.refresh();
    const { summary, alerts } = turn.answer;
    for (const { id } of [...alerts, ...(summary?.concepts ?? [])]) void concepts.ensure(id);
  },
});

export function start(): () => void {
  const stops = [settings.start(), server.start()];
  return () => stops.forEach((stop) => stop());
}
