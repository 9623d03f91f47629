/** The page in a real browser, against the server at HATCAT_URL. Screenshots go to HATCAT_SCREENSHOTS if that is set. */
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import type { Browser, BrowserContext, Page } from "playwright-core";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { launch } from "./browser";

const SERVER = process.env.HATCAT_URL ?? "http://127.0.0.1:3000";
const SCREENSHOTS = process.env.HATCAT_SCREENSHOTS;
const WIDE = { width: 1280, height: 860 };
const PHONE = { width: 390, height: 844 };
const ANSWER_MS = 90_000;

let browser: Browser;
let context: BrowserContext;
let page: Page;
let complaints: string[];

beforeAll(async () => {
  browser = await launch();
});

afterAll(async () => {
  await browser?.close();
});

async function open(viewport: { width: number; height: number }, colorScheme: "light" | "dark" = "light"): Promise<void> {
  context = await browser.newContext({ viewport, colorScheme, reducedMotion: "reduce" });
  page = await context.newPage();
  complaints = [];
  page.on("console", (message) => message.type() === "error" && complaints.push(message.text()));
  page.on("pageerror", (error) => complaints.push(String(error)));
  await page.goto(SERVER);
  await page.locator("header .status").filter({ hasText: "concepts" }).waitFor({ timeout: ANSWER_MS });
}

async function screenshot(name: string): Promise<void> {
  if (!SCREENSHOTS) return;
  mkdirSync(SCREENSHOTS, { recursive: true });
  await page.screenshot({ path: join(SCREENSHOTS, `${name}.png`) });
}

const answer = () => page.getByRole("article", { name: "Answer", exact: true }).last();
const tokens = () => answer().locator(".token");
const drawer = () => page.getByRole("complementary", { name: "Token" });

async function send(text: string): Promise<void> {
  await page.getByRole("textbox", { name: "Message", exact: true }).fill(text);
  await page.keyboard.press("Enter");
}

async function setLongest(count: number): Promise<void> {
  await page.getByRole("button", { name: "Settings" }).click();
  const field = page.getByLabel("Longest answer, tokens");
  await field.fill(String(count));
  await field.blur();
  await page.getByRole("button", { name: "Settings" }).click();
}

async function ended(): Promise<string | null> {
  await expect.poll(() => answer().getAttribute("data-status"), { timeout: ANSWER_MS }).not.toBe("streaming");
  return answer().getAttribute("data-status");
}

/** The text as the tokens show it, joined. */
async function shownText(): Promise<string> {
  return (await answer().locator(".tokens").textContent()) ?? "";
}

async function noSidewaysScroll(): Promise<void> {
  expect(await page.evaluate(() => document.documentElement.scrollWidth - innerWidth)).toBeLessThanOrEqual(0);
}

describe("on a wide screen", () => {
  beforeEach(() => open(WIDE));
  afterEach(async () => {
    await context.close();
    expect(complaints).toEqual([]);
  });

  it("colours an answer's tokens, and shows a token's concepts", async () => {
    await screenshot("empty");
    await setLongest(96);
    await send("A surgeon is about to operate. What is going through her mind?");
    await answer().locator(".token[data-coloured]").first().waitFor({ timeout: ANSWER_MS });
    expect(await ended()).toBe("done");
    await screenshot("light");

    await answer().locator(".token[data-coloured]").first().click();
    const concepts = drawer().locator("[data-concept]");
    await concepts.first().waitFor();
    expect(await concepts.count()).toBeGreaterThanOrEqual(5);
    expect(await drawer().getByText("benign tokens").count()).toBeGreaterThan(0);
    expect(await drawer().getByRole("row").count()).toBeGreaterThanOrEqual(5);
    await screenshot("drawer");

    await page.getByRole("button", { name: "Switch to dark colours" }).click();
    await screenshot("dark");

    await drawer().getByRole("button", { name: "Close" }).click();
    await drawer().waitFor({ state: "detached" });
    // The focus is back at the token.
    await expect.poll(() => page.evaluate(() => document.activeElement?.hasAttribute("data-index"))).toBe(true);
  });

  it("is worked by keyboard alone", async () => {
    await setLongest(32);
    await send("Name three animals.");
    expect(await ended()).toBe("done");
    await tokens().first().focus();
    await page.keyboard.press("Enter");
    await drawer().getByRole("heading", { level: 2 }).waitFor();
    const first = await drawer().getByRole("heading", { level: 2 }).textContent();
    await page.keyboard.press("ArrowRight");
    await expect.poll(() => drawer().getByRole("heading", { level: 2 }).textContent()).not.toBe(first);
    await page.keyboard.press("Escape");
    await drawer().waitFor({ state: "detached" });

    const chooser = page.getByRole("combobox", { name: "Watch a concept" });
    await chooser.focus();
    await page.getByRole("option").first().waitFor();
    await page.keyboard.press("ArrowDown");
    await page.keyboard.press("Enter");
    await page.getByRole("button", { name: /^Stop watching/ }).waitFor();
    await answer().getByRole("button", { name: "Regenerate" }).press("Enter");
    expect(await ended()).toBe("done");
    // A watched concept has a value at every measured token.
    const unlisted = answer().locator('.token[data-state="unlisted"]');
    expect(await unlisted.count()).toBe(0);
  });

  it("stops a long answer and keeps what was said", async () => {
    await setLongest(1024);
    await send("Write a very long story about a lighthouse, with many chapters.");
    await expect.poll(() => tokens().count(), { timeout: ANSWER_MS }).toBeGreaterThan(5);
    await page.getByRole("button", { name: "Stop" }).click();
    expect(await ended()).toBe("stopped");
    const text = await shownText();
    expect(text.length).toBeGreaterThan(10);
    await page.waitForTimeout(500);
    expect(await shownText()).toBe(text);
    await answer().getByText("stopped by you").waitFor();

    // The place is free again: the next message is answered.
    await setLongest(16);
    await send("Say hello.");
    expect(await ended()).toBe("done");
  });

  it("edits a message and sends it again, and gives back what that replaced", async () => {
    await setLongest(16);
    await send("Say one word.");
    expect(await ended()).toBe("done");
    const before = await shownText();
    await page.getByRole("button", { name: "Edit" }).click();
    const area = page.getByRole("textbox", { name: "Edit your message" });
    await area.fill("Say another word.");
    await area.press("Enter");
    await page.getByText("What followed was replaced.").waitFor();
    expect(await ended()).toBe("done");
    expect(await page.getByRole("article", { name: "Your message" }).textContent()).toContain("Say another word.");
    await page.getByRole("button", { name: "Undo" }).click();
    expect(await shownText()).toBe(before);
  });

  it("keeps the draft and the chat over a reload", async () => {
    await setLongest(16);
    await send("Say hello.");
    expect(await ended()).toBe("done");
    const before = await shownText();
    await page.getByRole("textbox", { name: "Message", exact: true }).fill("half a thou");
    await page.reload();
    await tokens().first().waitFor();
    expect(await shownText()).toBe(before);
    expect(await page.getByRole("textbox", { name: "Message", exact: true }).inputValue()).toBe("half a thou");
  });
});

describe("on a phone", () => {
  beforeEach(() => open(PHONE));
  afterEach(async () => {
    await context.close();
    expect(complaints).toEqual([]);
  });

  it("fits, and shows a token's concepts in a sheet below it", async () => {
    await noSidewaysScroll();
    await setLongest(64);
    await send("Describe the sea without using the words sea, water or wave.");
    expect(await ended()).toBe("done");
    await noSidewaysScroll();
    await screenshot("phone");
    const token = answer().locator(".token[data-coloured]").last();
    await token.click();
    await drawer().locator("[data-concept]").first().waitFor();
    await noSidewaysScroll();
    await page.waitForTimeout(100);
    const [below, above] = [await drawer().boundingBox(), await token.boundingBox()];
    expect(above!.y + above!.height).toBeLessThanOrEqual(below!.y + 4);
    await screenshot("phone-drawer");
  });
});

describe("when something is wrong", () => {
  beforeEach(() => open(WIDE));
  afterEach(() => context.close());

  it("shows the API's error in the chat, and what to do", async () => {
    await setLongest(32_768);
    await send("Hello. ".repeat(6000));
    expect(await ended()).toBe("failed");
    await answer().getByRole("alert").waitFor();
    await screenshot("error");
  });

  it("says that the server does not answer, and comes back by itself", async () => {
    await page.route("**/v1/**", (route) => route.abort());
    await send("Are you there?");
    expect(await ended()).toBe("failed");
    await page.getByRole("status").getByText("does not answer").waitFor();
    await page.unroute("**/v1/**");
    await page.getByRole("status").getByText("does not answer").waitFor({ state: "detached", timeout: 15_000 });
    await answer().getByRole("button", { name: "Try again" }).click();
    await expect.poll(() => tokens().count(), { timeout: ANSWER_MS }).toBeGreaterThan(0);
    await page.getByRole("button", { name: "Stop" }).click({ timeout: 2000 }).catch(() => undefined);
  });
});
