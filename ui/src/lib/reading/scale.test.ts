import { expect, it } from "vitest";
import { band, height, level, rarity } from "./scale";

it("stretches the top", () => {
  expect([0, 90, 99, 99.9, 99.99, 100].map((each) => Math.round(rarity(each) * 1000) / 1000)).toEqual([0, 1, 2, 3, 4, 4]);
  expect(level(89.9)).toBeNull();
  expect(level(90)).toBeCloseTo(0);
  expect(level(99)).toBeCloseTo(1 / 3);
  expect(level(100)).toBe(1);
  expect(height(0)).toBe(0);
});

it("names the band, with a cue besides colour from 99 on", () => {
  expect([0, 89.99, 90, 98.99, 99, 99.9, 100].map((each) => band(each).underline)).toEqual([0, 0, 0, 0, 1, 2, 2]);
});
