import { expect, it } from "vitest";
import { chatChunks } from "./client";
import { ApiError, UnreachableError } from "./errors";

async function* events(...items: string[]) {
  yield* items;
}

async function collect(items: string[]) {
  const chunks = [];
  for await (const chunk of chatChunks(events(...items))) chunks.push(chunk);
  return chunks;
}

it("gives chunks until [DONE]", async () => {
  expect(await collect(['{"id":"a"}', "[DONE]", '{"id":"b"}'])).toEqual([{ id: "a" }]);
});

it("throws an error that comes within the stream", async () => {
  const failing = collect(['{"id":"a"}', '{"error":{"message":"the engine stopped","type":"server_error"}}']);
  await expect(failing).rejects.toThrow(ApiError);
  await expect(failing).rejects.toThrow("the engine stopped");
});

it("does not take a cut stream for a whole answer", async () => {
  await expect(collect(['{"id":"a"}'])).rejects.toThrow(UnreachableError);
});
