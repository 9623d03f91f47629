import { describe, expect, it } from "vitest";
import { EMPTY, type Answer } from "./answer";
import { reading } from "./examples";
import { edge, neighbour, segment } from "./segments";

const answer = (content: string, ...texts: (string | null)[]): Answer => ({
  ...EMPTY,
  content,
  readings: texts.map((text, index) => (text === null ? undefined : reading(index, text))),
});
const cut = (given: Answer) => segment(given).map((each) => [each.index, each.text]);

describe("segment", () => {
  it("covers the content by its tokens", () => {
    expect(cut(answer("The cat", "The", " cat"))).toEqual([
      [0, "The"],
      [1, " cat"],
    ]);
  });

  it("leaves what was not read yet as a rest", () => {
    expect(cut(answer("The cat sat", "The"))).toEqual([
      [0, "The"],
      [null, " cat sat"],
    ]);
  });

  it("takes the text of an unread token from its log-probability", () => {
    const given = { ...answer("The cat", "The"), logprobs: ["The", " cat"].map((token) => logprob(token)) };
    const last = segment(given)[1];
    expect(last).toMatchObject({ index: 1, text: " cat", reading: null });
  });

  it("stops where a token does not follow the content or is missing", () => {
    expect(cut(answer("abc", "a", "x", "c"))).toEqual([
      [0, "a"],
      [null, "bc"],
    ]);
    expect(cut(answer("abc", "a", null, "c"))).toEqual([
      [0, "a"],
      [null, "bc"],
    ]);
  });

  it("shows the visible part of a token that was cut short", () => {
    expect(cut(answer("one tw", "one", " two"))).toEqual([
      [0, "one"],
      [1, " tw"],
    ]);
    expect(cut(answer("one", "one", " two"))).toEqual([[0, "one"]]);
  });

  it("always joins to the content", () => {
    for (const given of [answer(""), answer("ab", "a"), answer("ab", "b"), answer("a🐈b", "a", "", "🐈", "b")]) {
      expect(
        segment(given)
          .map((each) => each.text)
          .join(""),
      ).toBe(given.content);
    }
  });
});

it("keeps the segments that did not change", () => {
  const first = answer("The cat", "The");
  const before = segment(first);
  const after = segment({ ...first, readings: [...first.readings, reading(1, " cat")] }, before);
  expect(after[0]).toBe(before[0]);
  expect(after[1]).not.toBe(before[1]);
});

it("steps over tokens without text", () => {
  const segments = segment(answer("a🐈b", "a", "", "🐈", "b"));
  expect(neighbour(segments, 0, 1)).toBe(2);
  expect(neighbour(segments, 2, -1)).toBe(0);
  expect(neighbour(segments, 3, 1)).toBeNull();
  expect([edge(segments, "first"), edge(segments, "last")]).toEqual([0, 3]);
  expect(edge([], "last")).toBeNull();
});

function logprob(token: string) {
  return { token, logprob: -1, bytes: null, top_logprobs: [] };
}
