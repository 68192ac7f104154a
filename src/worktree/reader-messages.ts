import type { Slab } from './look-sync.ts'
import type { Beginning, FileRead, Listing, ReadRequest } from './reader.ts'

/** Files up to this size travel in bunches; a larger one streams alone. */
export const SMALL_BYTES = 256 * 1024
/** Slabs of a large file that are on their way at once. */
export const SLABS_AHEAD = 2

export type Question =
  | { readonly kind: 'begin'; readonly folder: string; readonly stamp: string; readonly paths: readonly string[] }
  | { readonly kind: 'list'; readonly folder: string }
  | ({ readonly kind: 'read' } & ReadRequest)

/** `facts` cross as bytes: a class does not. */
type Plain<T> = { [Key in keyof T]: Key extends 'facts' ? Uint8Array : T[Key] }

export type Answer =
  | { readonly kind: 'begin'; readonly value: Plain<Beginning> }
  | { readonly kind: 'list'; readonly value: Plain<Listing> | null }
  | { readonly kind: 'read'; readonly value: FileRead | null; readonly slab: Slab | null }
  /** It is larger than `SMALL_BYTES`: to be read alone. */
  | { readonly kind: 'large' }
  | { readonly kind: 'failed'; readonly message: string; readonly code: string | null }

/** To a reading thread. A job is a bunch of questions, or one large file. */
export type ToReader =
  | { readonly kind: 'ask'; readonly job: number; readonly questions: readonly Question[] }
  | { readonly kind: 'stream'; readonly job: number; readonly question: Extract<Question, { kind: 'read' }> }
  /** A slab was taken: another one may be sent. */
  | { readonly kind: 'taken'; readonly job: number }
  /** Nobody wants the rest. It is answered all the same, soon. */
  | { readonly kind: 'cancel'; readonly job: number }

/** From a reading thread. Each job ends with one `answers`. */
export type FromReader =
  | { readonly kind: 'slab'; readonly job: number; readonly slab: Slab }
  | { readonly kind: 'answers'; readonly job: number; readonly answers: readonly Answer[] }
  /** Of the thread itself: why it reads with the priority of all others. */
  | { readonly kind: 'not-idle'; readonly reason: string }
