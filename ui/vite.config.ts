import { svelte } from "@sveltejs/vite-plugin-svelte";
import { defineConfig } from "vite";

// Where `npm run dev` sends API calls; the built page always calls its own origin.
const server = process.env.HATCAT_URL ?? "http://127.0.0.1:8000";

export default defineConfig({
  base: "./",
  plugins: [svelte()],
  build: {
    outDir: "../src/hatcat/data/ui",
    emptyOutDir: true,
    target: "es2022",
    modulePreload: { polyfill: false },
    assetsInlineLimit: 0, // data: addresses would need a looser content security policy
  },
  server: { proxy: { "/v1": server, "/ready": server, "/health": server } },
});
