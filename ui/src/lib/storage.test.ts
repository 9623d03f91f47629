import { expect, it } from "vitest";
import { fields, load, numberIn, save, stringOr } from "./storage";

function fake(limit = Infinity): Storage {
  const kept = new Map<string, string>();
  return {
    getItem: (name: string) => kept.get(name) ?? null,
    setItem: (name: string, value: string) => {
      if (value.length > limit) throw new DOMException("full", "QuotaExceededError");
      kept.set(name, value);
    },
  } as Storage;
}

it("gives back what it kept", () => {
  const store = fake();
  expect(save("a", { b: 1 }, store)).toBe(true);
  expect(load("a", fields, store)).toEqual({ b: 1 });
  expect(load("none", fields, store)).toEqual({});
});

it("bears a full storage, a broken entry and no storage", () => {
  expect(save("a", "long", fake(1))).toBe(false);
  const store = fake();
  store.setItem("hatcat.a", "{broken");
  expect(load("a", fields, store)).toEqual({});
  expect(save("a", 1, null)).toBe(false);
});

it("checks what it reads", () => {
  expect(numberIn(3, 0, 2, 1)).toBe(1);
  expect(numberIn(0.5, 0, 2, 1)).toBe(0.5);
  expect(numberIn("1", 0, 2, 1)).toBe(1);
  expect(stringOr(3, "x")).toBe("x");
});
