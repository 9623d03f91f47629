import { expect, it } from "vitest";
import { durationText, percentileText, plural, rarityText, readableId, shareText, visible } from "./words";

it("never rounds a percentile up", () => {
  expect([0, 41.9, 90.06, 98.99, 99.21, 99.996, 100].map(percentileText)).toEqual([
    "0",
    "41",
    "90.0",
    "98.9",
    "99.21",
    "99.99",
    "100",
  ]);
});

it("says how rare a percentile is", () => {
  expect(rarityText(90)).toBe("rarer than 9 of 10 benign tokens");
  expect(rarityText(97.3)).toBe("rarer than 97 of 100 benign tokens");
  expect(rarityText(99)).toBe("rarer than 99 of 100 benign tokens");
  expect(rarityText(99.21)).toBe("rarer than 992 of 1,000 benign tokens");
  expect(rarityText(99.9)).toBe("rarer than 999 of 1,000 benign tokens");
  expect(rarityText(99.95)).toBe("rarer than 9,995 of 10,000 benign tokens");
  expect(rarityText(100)).toMatch(/every benign token/);
  expect(rarityText(41.2)).toBe("higher than 41 of 100 benign tokens");
});

it("says a share in small whole numbers", () => {
  expect([0.3, 0.04, 0.003, 0.0008, 0.00095, 1e-9, 1].map(shareText)).toEqual([
    "about 3 in 10",
    "about 4 in 100",
    "about 3 in 1,000",
    "about 8 in 10,000",
    "about 1 in 1,000",
    "fewer than 1 in 1,000,000",
    "nearly all",
  ]);
});

it("makes ids readable", () => {
  expect(readableId("bank.n.02")).toBe("bank (noun 2)");
  expect(readableId("self_preservation")).toBe("self preservation");
});

it("shows white space, counts and durations", () => {
  expect(visible(" the\n")).toBe("␣the↵");
  expect([plural(1, "token"), plural(2048, "token")]).toEqual(["1 token", "2,048 tokens"]);
  expect([0.2, 40, 600, 9000].map(durationText)).toEqual([
    "less than a second",
    "about 40 s",
    "about 10 min",
    "about 3 h",
  ]);
});
