import { expect, it } from "vitest";
import { ApiError, UnreachableError, describe as describeError, errorDetail } from "./errors";

it("reads OpenAI's error object and nothing else", () => {
  expect(errorDetail({ error: { message: "no", type: "x", code: "c" } })).toEqual({
    message: "no",
    type: "x",
    param: null,
    code: "c",
  });
  for (const body of [null, "error", {}, { error: null }, { error: "text" }, { error: {} }]) {
    expect(errorDetail(body)).toBeNull();
  }
});

it("says what to do, by code before status", () => {
  const detail = { message: "3,000 tokens, context 2,048", type: "invalid_request_error", param: "messages" };
  const failure = describeError(new ApiError(400, { ...detail, code: "context_length_exceeded" }));
  expect(failure.advice).toMatch(/new chat/);
  expect(failure.message).toBe("3,000 tokens, context 2,048");
  expect(describeError(new ApiError(429, { ...detail, code: null })).advice).toMatch(/Wait/);
  expect(describeError(new ApiError(400, { ...detail, code: null })).message).toMatch(/field: messages/);
  expect(describeError(new ApiError(401, { ...detail, code: null })).advice).toMatch(/API key/);
});

it("tells an unreachable server from an error of the page", () => {
  expect(describeError(new UnreachableError("gone")).code).toBe("unreachable");
  expect(describeError(new TypeError("x is undefined")).message).toMatch(/x is undefined/);
  expect(describeError("odd").message).toMatch(/odd/);
});
