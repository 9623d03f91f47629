import { describe, expect, it } from "vitest";
import { SseParser, readEvents } from "./sse";

const bytes = (text: string) => new TextEncoder().encode(text);

function parse(...pieces: (string | Uint8Array)[]): string[] {
  const parser = new SseParser();
  const events = pieces.flatMap((piece) => parser.push(typeof piece === "string" ? bytes(piece) : piece));
  return [...events, ...parser.end()];
}

describe("SseParser", () => {
  it("reads one event a blank line", () => {
    expect(parse("data: a\n\ndata: b\n\n")).toEqual(["a", "b"]);
  });

  it("ignores comments and other fields", () => {
    expect(parse(": heartbeat\n\nevent: x\nid: 7\nretry: 5\ndata: a\n\n:\n\n")).toEqual(["a"]);
  });

  it("joins several data lines and takes off one space only", () => {
    expect(parse("data: {\ndata:  1\ndata:}\n\n")).toEqual(["{\n 1\n}"]);
  });

  it("knows the three line ends", () => {
    expect(parse("data: a\r\n\r\ndata: b\r\rdata: c\n\n")).toEqual(["a", "b", "c"]);
  });

  it("drops an event that was never closed", () => {
    expect(parse("data: a\n\ndata: cut")).toEqual(["a"]);
  });

  it("keeps an empty data line and ignores a field without a name", () => {
    expect(parse("data\n\nnonsense\n\n")).toEqual([""]);
  });

  it("gives the same events wherever the bytes are cut", () => {
    const whole = bytes(': heartbeat\r\n\r\ndata: {"t":"naïve 猫 🐈"}\r\n\r\ndata: x\ndata: y\n\ndata: [DONE]\n\n');
    const expected = ['{"t":"naïve 猫 🐈"}', "x\ny", "[DONE]"];
    for (let cut = 0; cut <= whole.length; cut++) {
      expect(parse(whole.slice(0, cut), whole.slice(cut))).toEqual(expected);
    }
    expect(parse(...Array.from(whole, (byte) => Uint8Array.of(byte)))).toEqual(expected);
  });
});

describe("readEvents", () => {
  it("reads a stream to its end and releases it", async () => {
    let cancelled = false;
    const stream = new ReadableStream<Uint8Array>({
      pull(controller) {
        controller.enqueue(bytes("data: a\n\n"));
      },
      cancel() {
        cancelled = true;
      },
    });
    for await (const event of readEvents(stream)) {
      expect(event).toBe("a");
      break;
    }
    expect(cancelled).toBe(true);
  });
});
