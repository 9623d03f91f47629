/** Errors of the API and of the way to it, and what to do about them. */
import type { ErrorDetail } from "./types";

export class ApiError extends Error {
  readonly status: number;
  readonly detail: ErrorDetail;

  constructor(status: number, detail: ErrorDetail) {
    super(detail.message);
    this.name = "ApiError";
    this.status = status;
    this.detail = detail;
  }
}

/** The server cannot be reached, or went away. */
export class UnreachableError extends Error {
  constructor(message: string) {
    super(message);
    this.name = "UnreachableError";
  }
}

export interface Failure {
  message: string;
  advice: string;
  code: string | null;
}

/** The error object in a body, if there is one: OpenAI's shape. */
export function errorDetail(body: unknown): ErrorDetail | null {
  if (typeof body !== "object" || body === null || !("error" in body)) return null;
  const error = body.error;
  if (typeof error !== "object" || error === null || !("message" in error)) return null;
  const { message, type, param, code } = error as Partial<ErrorDetail>;
  return { message: String(message), type: String(type ?? "error"), param: param ?? null, code: code ?? null };
}

const ADVICE_BY_CODE: Record<string, string> = {
  context_length_exceeded: "Start a new chat, shorten the message, or allow fewer answer tokens in the settings.",
  unsupported_parameter: "This server does not support what was asked for. Is the page older or newer than the server?",
  model_not_found: "The server may have been started with another model: reload the page.",
  invalid_api_key: "Put a valid API key in the settings.",
  unknown_concept: "Take the concept off the watch list: the pack that is loaded does not know it.",
  foreign_host: "Open the page under the address that the server was started with.",
};

function adviceByStatus(status: number): string {
  if (status === 401 || status === 403) return "Put a valid API key in the settings.";
  if (status === 404) return "Is the page older or newer than the server? Reload it.";
  if (status === 413) return "Shorten the message.";
  if (status === 429) return "The server is busy or an allowance is used up. Wait a little, then try again.";
  if (status === 503) return "The server is not ready yet. Wait until the header says so, then try again.";
  if (status >= 500) return "Try again. If it happens again, look at the server's log.";
  return "Change the request and try again.";
}

/** Any thrown thing as something to show. */
export function describe(error: unknown): Failure {
  if (error instanceof ApiError) {
    const { message, code, param } = error.detail;
    const known = code ? ADVICE_BY_CODE[code] : undefined;
    const advice = known ?? adviceByStatus(error.status);
    const named = param && !known && !message.includes(param) ? `${message} (field: ${param})` : message;
    return { message: named, advice, code: code ?? null };
  }
  if (error instanceof UnreachableError) {
    return { message: error.message, advice: "Check that it is running, then try again.", code: "unreachable" };
  }
  const message = error instanceof Error ? error.message : String(error);
  return { message: `The page met an error: ${message}`, advice: "Try again, or reload the page.", code: null };
}
