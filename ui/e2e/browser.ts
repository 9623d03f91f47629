/** A Chromium for the tests: one named by CHROMIUM_PATH, the system's, or the one that an npm package brings. */
import { existsSync } from "node:fs";
import packaged from "@sparticuz/chromium";
import { type Browser, chromium } from "playwright-core";

// Not the package's own flags: its --single-process ends the browser with its first page.
const QUIET = [
  "--no-sandbox",
  "--disable-gpu",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
];

export async function launch(): Promise<Browser> {
  const installed = [process.env.CHROMIUM_PATH, "/usr/bin/chromium", "/usr/bin/chromium-browser"].find(
    (path) => path && existsSync(path),
  );
  const executablePath = installed ?? (await packaged.executablePath());
  return chromium.launch({ executablePath, args: QUIET, headless: true });
}
