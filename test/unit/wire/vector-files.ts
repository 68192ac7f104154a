import { readFileSync, writeFileSync } from 'node:fs'
import { CID } from 'multiformats/cid'
import type { Fields } from '../../tools/protobuf.ts'

export interface MessageVector {
  readonly name: string
  readonly type: string
  readonly fields: Fields
  readonly hex: string
}

/** A frame that must be refused. */
export interface RefusedVector {
  readonly name: string
  readonly type: string
  readonly hex: string
}

export interface MessageVectors {
  readonly protocol: string
  readonly messages: readonly MessageVector[]
  readonly refused: readonly RefusedVector[]
}

export interface RecordVector {
  readonly name: string
  readonly type: string
  readonly domain: string
  /** The Ed25519 seed of the signer. */
  readonly seed: string
  readonly signer: string
  readonly fields: Fields
  readonly payload: string
  readonly envelope: string
  readonly cid: string
}

export interface RecordVectors {
  readonly payloadType: string
  readonly records: readonly RecordVector[]
  /** Envelopes that must not be accepted as a record of the domain. */
  readonly refused: readonly {
    readonly name: string
    readonly type: string
    readonly code: string
    readonly envelope: string
  }[]
}

const fileOf = (folder: string, name: string): URL =>
  new URL(`../../../protocols/${folder}/vectors/${name}.json`, import.meta.url)

export const readVectors = <T>(folder: string, name: string): T =>
  JSON.parse(readFileSync(fileOf(folder, name), 'utf8')) as T

export const writeVectors = (folder: string, name: string, vectors: object): void =>
  writeFileSync(fileOf(folder, name), `${JSON.stringify(vectors, null, 2)}\n`)

export const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex')
export const unhex = (text: string): Uint8Array<ArrayBuffer> => new Uint8Array(Buffer.from(text, 'hex'))

/** A decoded message in a form that can be compared: content ids as text, bytes as hexadecimal digits. */
export function plain(value: unknown): unknown {
  if (value instanceof Uint8Array) return hex(value)
  const cid = CID.asCID(value)
  if (cid !== null) return cid.toString()
  if (Array.isArray(value)) return value.map(plain)
  if (typeof value !== 'object' || value === null) return value
  return Object.fromEntries(Object.entries(value).map(([name, inner]) => [name, plain(inner)]))
}
