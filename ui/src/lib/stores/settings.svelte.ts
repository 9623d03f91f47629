/** What the user sets and the browser keeps. */
import type { Theme } from "../reading/palette";
import { fields, load, numberIn, save, session, stringOr } from "../storage";

export const MAX_TOKENS = 32_768;

export class Settings {
  system = $state("");
  temperature = $state(0.7);
  maxTokens = $state(512);
  /** Only for this tab: a key is not left behind in the browser. */
  key = $state("");
  draft = $state("");
  chosenTheme = $state<Theme | null>(null);
  open = $state(false);

  #systemDark = $state(false);
  readonly theme: Theme = $derived(this.chosenTheme ?? (this.#systemDark ? "dark" : "light"));

  constructor() {
    const kept = load("settings", fields);
    this.system = stringOr(kept.system, "");
    this.temperature = numberIn(kept.temperature, 0, 2, 0.7);
    this.maxTokens = numberIn(kept.maxTokens, 1, MAX_TOKENS, 512);
    this.chosenTheme = kept.theme === "light" || kept.theme === "dark" ? kept.theme : null;
    this.key = load("key", (value) => stringOr(value, ""), session());
    this.draft = load("draft", (value) => stringOr(value, ""));
  }

  /** Keeps settings as they change, and follows the system's theme. */
  start(): () => void {
    const dark = matchMedia("(prefers-color-scheme: dark)");
    const follow = () => (this.#systemDark = dark.matches);
    follow();
    dark.addEventListener("change", follow);
    const stop = $effect.root(() => {
      $effect(() => {
        const { system, temperature, maxTokens, chosenTheme } = this;
        save("settings", { system, temperature, maxTokens, theme: chosenTheme });
      });
      $effect(() => void save("key", this.key, session()));
      $effect(() => void save("draft", this.draft));
      $effect(() => {
        if (this.chosenTheme) document.documentElement.dataset.theme = this.chosenTheme;
        else delete document.documentElement.dataset.theme;
      });
    });
    return () => {
      dark.removeEventListener("change", follow);
      stop();
    };
  }

  toggleTheme(): void {
    this.chosenTheme = this.theme === "dark" ? "light" : "dark";
  }
}
