/**
 * Server-sent events out of a byte stream: https://html.spec.whatwg.org/multipage/server-sent-events.html
 * Pieces may be cut anywhere, also within a UTF-8 sequence or between CR and LF.
 */
export class SseParser {
  #decoder = new TextDecoder("utf-8");
  #rest = "";
  #data: string[] = [];
  #afterCarriageReturn = false;

  /** The `data` of every event that these bytes complete. */
  push(bytes: Uint8Array): string[] {
    return this.#read(this.#decoder.decode(bytes, { stream: true }));
  }

  /** What the end of the stream completes: an event whose closing blank line is missing is dropped, as the standard says. */
  end(): string[] {
    const events = this.#read(this.#decoder.decode());
    this.#rest = "";
    this.#data = [];
    return events;
  }

  #read(text: string): string[] {
    if (this.#afterCarriageReturn && text.length > 0) {
      this.#afterCarriageReturn = false;
      if (text.startsWith("\n")) text = text.slice(1);
    }
    const events: string[] = [];
    const buffer = this.#rest + text;
    const ending = /\r\n|\r|\n/g;
    let start = 0;
    for (let match = ending.exec(buffer); match; match = ending.exec(buffer)) {
      this.#line(buffer.slice(start, match.index), events);
      start = ending.lastIndex;
      if (match[0] === "\r" && start === buffer.length) this.#afterCarriageReturn = true;
    }
    this.#rest = buffer.slice(start);
    return events;
  }

  #line(line: string, events: string[]): void {
    if (line === "") {
      if (this.#data.length > 0) events.push(this.#data.join("\n"));
      this.#data = [];
      return;
    }
    if (line.startsWith(":")) return; // a comment, such as the server's heartbeat
    const colon = line.indexOf(":");
    const field = colon < 0 ? line : line.slice(0, colon);
    const value = colon < 0 ? "" : line.slice(colon + 1).replace(/^ /, "");
    if (field === "data") this.#data.push(value);
  }
}

/** The `data` of each event of a response body, as they come. */
export async function* readEvents(body: ReadableStream<Uint8Array>): AsyncGenerator<string> {
  const parser = new SseParser();
  const reader = body.getReader();
  try {
    for (;;) {
      const { done, value } = await reader.read();
      yield* done ? parser.end() : parser.push(value);
      if (done) return;
    }
  } finally {
    await reader.cancel().catch(() => undefined);
  }
}
