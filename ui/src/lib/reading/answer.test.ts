import { describe, expect, it } from "vitest";
import type { ChatChunk } from "../api/types";
import { EMPTY, conceptIds, extend } from "./answer";
import { chunk, reading } from "./examples";

describe("extend", () => {
  it("joins readings that come later than their text", () => {
    const first = extend(EMPTY, [chunk("The"), chunk(" cat", { tokens: [reading(0, "The")] })]);
    expect(first.content).toBe("The cat");
    expect(first.readings.length).toBe(1);
    const whole = extend(first, [chunk("", { tokens: [reading(1, " cat")] }, "stop")]);
    expect(whole.readings.map((each) => each?.text)).toEqual(["The", " cat"]);
    expect(whole.finish).toBe("stop");
    expect(first.readings.length).toBe(1); // the earlier value is left as it was
  });

  it("leaves a hole where a reading is missing", () => {
    const answer = extend(EMPTY, [chunk("a b c", { tokens: [reading(2, " c"), reading(0, "a")] })]);
    expect(answer.readings[1]).toBeUndefined();
    expect(answer.readings[2]?.text).toBe(" c");
  });

  it("keeps one alert a concept and look", () => {
    const alert = { id: "deceit", first_token: 3, p: 0.01, look: "first" as const };
    const answer = extend(EMPTY, [
      chunk("a", { alerts: [alert] }),
      chunk("b", { alerts: [{ ...alert, p: 0.001 }, { ...alert, look: "second" }] }),
    ]);
    expect(answer.alerts.map((each) => [each.look, each.p])).toEqual([
      ["first", 0.001],
      ["second", 0.01],
    ]);
  });

  it("takes choice 0 only, and bears empty choices", () => {
    const other = chunk("x", { choice: 1, tokens: [reading(0, "x")] });
    other.choices[0]!.index = 1;
    const empty = { ...chunk(""), choices: [] } satisfies ChatChunk;
    expect(extend(EMPTY, [other, empty])).toEqual({ ...EMPTY, model: "m" });
  });
});

it("names every concept read", () => {
  const readings = [reading(0, "a", { deceit: 99 }), undefined, { ...reading(1, "b", { joy: 50 }) }];
  expect([...conceptIds(readings)].sort()).toEqual(["deceit", "joy"]);
});
