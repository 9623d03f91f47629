/** Short names for the types of the wire contract, generated into schema.d.ts by `npm run types`. */
import type { components } from "./schema";

type Schemas = components["schemas"];

export type Alert = Schemas["Alert"];
export type ChatChunk = Schemas["ChatChunk"];
export type ChatRequest = Schemas["ChatRequest"];
export type ConceptInfo = Schemas["ConceptInfo"];
export type ConceptList = Schemas["ConceptList"];
export type ConceptReading = Schemas["ConceptReading"];
export type ErrorDetail = Schemas["ErrorDetail"];
export type Info = Schemas["Info"];
export type Message = Schemas["Message"];
export type PackInfo = Schemas["PackInfo"];
export type Summary = Schemas["Summary"];
export type TokenDivergence = Schemas["TokenDivergence"];
export type TokenLogprob = Schemas["TokenLogprob"];
export type TokenReading = Schemas["TokenReading"];
export type TopLogprob = Schemas["TopLogprob"];
export type Usage = Schemas["Usage"];
