import { expect, it } from "vitest";
import { reading } from "./examples";
import { linePath, peak, series, tokenAt } from "./timeline";

it("keeps gaps as gaps", () => {
  const readings = [reading(0, "a", { joy: 90 }), undefined, { ...reading(2, "c", { joy: 50 }), state: "not_measured" as const }];
  expect(series(readings, { by: "concept", id: "joy" })).toEqual([90, null, null]);
});

it("draws from the top, breaks at gaps and shows lone values", () => {
  expect(linePath([99.99, 0, null, 99, null], 40)).toBe("M0.5 0L1.5 40M3.2 20H3.8");
  expect(linePath([null], 40)).toBe("");
});

it("finds tokens and peaks", () => {
  expect([-0.1, 0, 0.49, 0.5, 1].map((place) => tokenAt(place, 2))).toEqual([0, 0, 0, 1, 1]);
  expect(peak([null, 3, 9, null])).toEqual({ token: 2, value: 9 });
  expect(peak([null])).toBeNull();
});
