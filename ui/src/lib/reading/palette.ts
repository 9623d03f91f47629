/**
 * The colours of the scale, computed in OKLCH. Lightness moves one way only, away from the page, while the hue goes from
 * yellow to blue: the order shows without seeing hue, and the hues stay apart for every common colour blindness.
 */
export type Theme = "light" | "dark";
export type Rgb = readonly [number, number, number];

/** Lightness, chroma, hue, from the 90th percentile to the 99.99th. */
const STOPS: Record<Theme, readonly Rgb[]> = {
  light: [
    [0.975, 0.045, 103],
    [0.91, 0.085, 120],
    [0.8, 0.09, 165],
    [0.55, 0.1, 235],
    [0.38, 0.12, 265],
  ],
  dark: [
    [0.27, 0.055, 270],
    [0.37, 0.09, 255],
    [0.5, 0.09, 225],
    [0.76, 0.11, 150],
    [0.92, 0.14, 105],
  ],
};

const STEPS = 24;
const INK: Rgb = [0, 0, 0];
const PAPER: Rgb = [255, 255, 255];

export interface Paint {
  readonly background: string;
  readonly colour: string;
}

/** Background and text colour at a level of 0 to 1. */
export function paint(level: number, theme: Theme): Paint {
  return PAINTS[theme][Math.round(Math.min(Math.max(level, 0), 1) * STEPS)]!;
}

export function background(level: number, theme: Theme): Rgb {
  const stops = STOPS[theme];
  const place = Math.min(Math.max(level, 0), 1) * (stops.length - 1);
  const at = Math.min(Math.floor(place), stops.length - 2);
  const [from, to] = [toLab(stops[at]!), toLab(stops[at + 1]!)];
  return labToRgb(from.map((value, axis) => value + (to[axis]! - value) * (place - at)) as unknown as Rgb);
}

/** Black or white, whichever can be read better on a background. */
export function textColour(on: Rgb): Rgb {
  return contrast(INK, on) >= contrast(PAPER, on) ? INK : PAPER;
}

/** Contrast ratio of WCAG 2. */
export function contrast(a: Rgb, b: Rgb): number {
  const [high, low] = [luminance(a), luminance(b)].sort((x, y) => y - x) as [number, number];
  return (high + 0.05) / (low + 0.05);
}

export function luminance(rgb: Rgb): number {
  const [r, g, b] = rgb.map((value) => {
    const share = value / 255;
    return share <= 0.04045 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
  }) as unknown as Rgb;
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
}

function toLab([lightness, chroma, hue]: Rgb): Rgb {
  const angle = (hue * Math.PI) / 180;
  return [lightness, chroma * Math.cos(angle), chroma * Math.sin(angle)];
}

/** OKLab to sRGB: https://bottosson.github.io/posts/oklab/ */
function labToRgb([L, a, b]: Rgb): Rgb {
  const l = (L + 0.3963377774 * a + 0.2158037573 * b) ** 3;
  const m = (L - 0.1055613458 * a - 0.0638541728 * b) ** 3;
  const s = (L - 0.0894841775 * a - 1.291485548 * b) ** 3;
  return [
    encode(4.0767416621 * l - 3.3077115913 * m + 0.2309699292 * s),
    encode(-1.2684380046 * l + 2.6097574011 * m - 0.3413193965 * s),
    encode(-0.0041960863 * l - 0.7034186147 * m + 1.707614701 * s),
  ];
}

function encode(linear: number): number {
  const share = linear <= 0.0031308 ? 12.92 * linear : 1.055 * linear ** (1 / 2.4) - 0.055;
  return Math.round(Math.min(Math.max(share, 0), 1) * 255);
}

function css(rgb: Rgb): string {
  return `rgb(${rgb.join(" ")})`;
}

function ramp(theme: Theme): Paint[] {
  return Array.from({ length: STEPS + 1 }, (_, step) => {
    const rgb = background(step / STEPS, theme);
    return { background: css(rgb), colour: css(textColour(rgb)) };
  });
}

const PAINTS: Record<Theme, readonly Paint[]> = { light: ramp("light"), dark: ramp("dark") };
