import { describe, expect, it } from "vitest";
import { type Theme, background, contrast, luminance, paint, textColour } from "./palette";

const levels = Array.from({ length: 101 }, (_, step) => step / 100);

describe.each<Theme>(["light", "dark"])("the %s scale", (theme) => {
  it("keeps text readable at every level", () => {
    for (const level of levels) {
      const colour = background(level, theme);
      expect(contrast(textColour(colour), colour)).toBeGreaterThanOrEqual(4.5);
    }
  });

  it("moves lightness one way only, so that order shows without hue", () => {
    const way = theme === "light" ? -1 : 1;
    for (const [at, level] of levels.slice(1).entries()) {
      const change = luminance(background(level, theme)) - luminance(background(levels[at]!, theme));
      expect(change * way).toBeGreaterThan(-1e-3);
    }
    const ends = [background(0, theme), background(1, theme)] as const;
    expect(contrast(...ends)).toBeGreaterThan(5);
  });

  it("takes levels outside 0 to 1 as the ends", () => {
    expect(paint(-1, theme)).toEqual(paint(0, theme));
    expect(paint(2, theme)).toEqual(paint(1, theme));
  });
});

it("measures contrast as WCAG does", () => {
  expect(contrast([0, 0, 0], [255, 255, 255])).toBeCloseTo(21);
  expect(contrast([119, 119, 119], [255, 255, 255])).toBeCloseTo(4.48, 2);
});
