import { seededNumbers } from '../tools/file-tree.ts'

/** Chance from a seed. */
export class Dice {
  readonly #next: () => number

  constructor(seed: number) {
    this.#next = seededNumbers(seed)
  }

  /** A whole number from 0 to one less than `sides`. */
  below(sides: number): number {
    return Math.floor(this.#next() * sides)
  }

  /** One of these; undefined of none. */
  oneOf<T>(things: readonly T[]): T | undefined {
    return things[this.below(things.length)]
  }

  bytes(length: number): Uint8Array {
    return Uint8Array.from({ length }, () => this.below(256))
  }
}

/** Lengths, signs and ends by which decoders of all kinds are led astray. */
const INTERESTING: readonly Uint8Array[] = [
  ...[
    '',
    '\0',
    '\r\n',
    '\n',
    ' ',
    '..',
    '/',
    '%00',
    '%',
    '"',
    "'",
    '<',
    '{',
    '[',
    '[[[[[[[[',
    '&a',
    '*a',
    ':',
    '=',
    ';',
    ','
  ],
  ...['-1', '0', '9'.repeat(20), '1e999', 'NaN', 'null', '__proto__', 'constructor', '\ufeff', '\ud7ff', 'İ']
].map((text) => Buffer.from(text))
const BINARY: readonly Uint8Array[] = [
  [0xff, 0xff, 0xff, 0xff],
  [0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x01],
  [0xff, 0xff, 0xff, 0xff, 0x0f],
  [0x7f],
  [0x00, 0x00, 0x00, 0x00],
  [0x0a, 0x00],
  [0xc0, 0x80],
  [0xed, 0xa0, 0x80]
].map((bytes) => Uint8Array.from(bytes))

const MAX_BYTES = 64 * 1024
const MAX_STEPS = 6

/** One of the samples, changed a few times: flipped, cut, repeated, put together with another one. */
export function mutate(dice: Dice, samples: readonly Uint8Array[]): Uint8Array {
  let bytes: Uint8Array = dice.oneOf(samples) ?? new Uint8Array(0)
  for (let steps = dice.below(MAX_STEPS); steps >= 0; steps--) bytes = change(dice, bytes, samples)
  return bytes.subarray(0, MAX_BYTES)
}

function change(dice: Dice, bytes: Uint8Array, samples: readonly Uint8Array[]): Uint8Array {
  const at = dice.below(bytes.length + 1)
  const end = Math.min(bytes.length, at + dice.below(16))
  const before = bytes.subarray(0, at)
  switch (dice.below(8)) {
    case 0:
      return flipped(dice, bytes)
    case 1:
      return Buffer.concat([before, bytes.subarray(end)])
    case 2:
      return Buffer.concat([before, dice.bytes(1 + dice.below(8)), bytes.subarray(at)])
    case 3:
      return before
    case 4:
      return Buffer.concat([
        before,
        ...Array<Uint8Array>(1 + dice.below(40)).fill(bytes.subarray(at, end)),
        bytes.subarray(at)
      ])
    case 5:
      return Buffer.concat([before, dice.oneOf(INTERESTING) ?? before, bytes.subarray(end)])
    case 6:
      return Buffer.concat([before, dice.oneOf(BINARY) ?? before, bytes.subarray(end)])
    default: {
      const other = dice.oneOf(samples) ?? bytes
      return Buffer.concat([before, other.subarray(dice.below(other.length + 1))])
    }
  }
}

function flipped(dice: Dice, bytes: Uint8Array): Uint8Array {
  const copy = Uint8Array.from(bytes)
  const at = dice.below(copy.length)
  if (copy.length > 0) copy[at] = (copy[at] ?? 0) ^ (1 << dice.below(8))
  return copy
}
