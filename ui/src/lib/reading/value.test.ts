import { expect, it } from "vitest";
import { reading } from "./examples";
import { parseMode, partlyUnknown, sameMode, valueOf } from "./value";

const token = reading(0, "a", { joy: 71, deceit: 99.5 });

it("takes the strongest concept wherever it stands in the list", () => {
  expect(valueOf(token, { by: "strongest" })).toEqual({ state: "measured", percentile: 99.5, id: "deceit" });
});

it("prefers a watched value, and does not take an absent one for zero", () => {
  const watched = { ...token, watched: { calm: 0 } };
  expect(valueOf(watched, { by: "concept", id: "calm" })).toMatchObject({ state: "measured", percentile: 0 });
  expect(valueOf(watched, { by: "concept", id: "joy" })).toMatchObject({ percentile: 71 });
  expect(valueOf(token, { by: "concept", id: "calm" })).toEqual({ state: "unlisted" });
});

it("turns a divergence's p into a percentile", () => {
  const diverging = { ...token, divergence: { id: "deceit", activation: 99.7, text: 41, p: 0.004 } };
  expect(valueOf(diverging, { by: "divergence" })).toMatchObject({ percentile: 99.6, id: "deceit" });
  expect(valueOf(token, { by: "divergence" })).toEqual({ state: "unlisted" });
});

it("never gives a value to what was not measured", () => {
  for (const state of ["not_measured", "uncalibrated"] as const) {
    expect(valueOf({ ...token, state }, { by: "strongest" })).toEqual({ state });
  }
  expect(valueOf(undefined, { by: "strongest" })).toEqual({ state: "pending" });
});

it("knows when an answer was not watched for a concept", () => {
  expect(partlyUnknown([token, undefined], { by: "concept", id: "joy" })).toBe(false);
  expect(partlyUnknown([token, reading(1, "b")], { by: "concept", id: "joy" })).toBe(true);
  expect(partlyUnknown([reading(1, "b")], { by: "strongest" })).toBe(false);
});

it("reads a stored mode, and mends a broken one", () => {
  expect(parseMode({ by: "concept", id: "joy" })).toEqual({ by: "concept", id: "joy" });
  for (const broken of [null, 3, {}, { by: "concept" }, { by: "x" }]) expect(parseMode(broken)).toEqual({ by: "strongest" });
  expect(sameMode({ by: "concept", id: "a" }, { by: "concept", id: "b" })).toBe(false);
  expect(sameMode({ by: "divergence" }, { by: "divergence" })).toBe(true);
});
