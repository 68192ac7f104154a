import { describe, expect, test } from 'vitest'
import { codeOf } from '../../../src/core/errors.ts'
import { BLOCKS_PROTOCOL } from '../../../src/wire/blocks.ts'
import { CONTROL_PROTOCOL } from '../../../src/wire/control.ts'
import { FRONT_DOOR_PROTOCOL } from '../../../src/wire/front-door.ts'
import { HEADS_PROTOCOL } from '../../../src/wire/heads.ts'
import { MEMBERSHIP_PROTOCOL } from '../../../src/wire/membership.ts'
import type { WireCodec } from '../../../src/wire/protocol.ts'
import { schemaOf } from '../../tools/protobuf.ts'
import { REFUSED, REFUSED_ANYWHERE } from './refused.ts'
import { MESSAGES } from './samples.ts'
import { hex, type MessageVectors, plain, readVectors, unhex, writeVectors } from './vector-files.ts'

const PROTOCOLS = {
  blocks: BLOCKS_PROTOCOL,
  heads: HEADS_PROTOCOL,
  control: CONTROL_PROTOCOL,
  membership: MEMBERSHIP_PROTOCOL,
  'front-door': FRONT_DOOR_PROTOCOL
}

const folders = Object.keys(MESSAGES) as (keyof typeof MESSAGES)[]

// The vectors are made anew with WRITE_VECTORS=1: to be done when messages are added, never to make a test pass.
for (const folder of process.env.WRITE_VECTORS === '1' ? folders : []) {
  const schema = await schemaOf(folder)
  const codecs = MESSAGES[folder]
  writeVectors(folder, 'messages', {
    protocol: PROTOCOLS[folder].id,
    messages: codecs.flatMap(({ type, codec, samples }) =>
      Object.entries(samples).map(([name, message]) => {
        const bytes = codec.encode(message)
        return { name, type, fields: schema.fieldsOf(type, bytes), hex: hex(bytes) }
      })
    ),
    refused: [
      ...codecs.flatMap(({ type }) =>
        Object.entries(REFUSED_ANYWHERE).map(([name, bytes]) => ({ name, type, hex: bytes }))
      ),
      ...(REFUSED[folder] ?? [])
    ]
  } satisfies MessageVectors)
}

describe.each(folders)('the vectors of %s', (folder) => {
  const { protocol, messages, refused } = readVectors<MessageVectors>(folder, 'messages')
  const codecs = MESSAGES[folder]
  const codecOf = (type: string): WireCodec<unknown> => {
    const found = codecs.find((one) => one.type === type)
    if (found === undefined) throw new Error(`no codec for ${type}`)
    return found.codec
  }

  test('are of this version, and there is one for each sample', () => {
    expect(protocol).toBe(PROTOCOLS[folder].id)
    const samples = codecs.flatMap(({ type, samples }) => Object.keys(samples).map((name) => `${type}: ${name}`))
    expect(messages.map(({ type, name }) => `${type}: ${name}`)).toEqual(samples)
  })

  test.each(messages)('$type: $name', ({ type, name, hex: bytes }) => {
    const sample = codecs.find((one) => one.type === type)?.samples[name]
    expect(hex(codecOf(type).encode(sample))).toBe(bytes)
    expect(plain(codecOf(type).decode(unhex(bytes)))).toEqual(plain(sample))
  })

  test.each(messages)(
    '$type: $name, read and written by another implementation',
    async ({ type, fields, hex: bytes }) => {
      const schema = await schemaOf(folder)
      expect(schema.fieldsOf(type, unhex(bytes))).toEqual(fields)
      expect(hex(schema.bytesOf(type, fields))).toBe(bytes)
    }
  )

  test.each(refused)('$type: $name is refused', ({ type, hex: bytes }) => {
    const decode = (): unknown => codecOf(type).decode(unhex(bytes))
    expect(decode).toThrow()
    expect(codeOf(caught(decode))).toBe('PROTOCOL_VIOLATION')
  })

  test.each(messages)('$type: $name, cut or with a field that is not known yet', ({ type, hex: bytes }) => {
    const codec = codecOf(type)
    const whole = unhex(bytes)
    for (let length = 0; length < whole.length; length++) {
      const error = caught(() => codec.decode(whole.subarray(0, length)))
      if (error !== undefined) expect(codeOf(error), `cut at ${length}`).toBe('PROTOCOL_VIOLATION')
    }
    expect(plain(codec.decode(unhex(`${bytes}fa0603010203`)))).toEqual(plain(codec.decode(whole)))
  })
})

function caught(work: () => unknown): unknown {
  try {
    work()
    return undefined
  } catch (error) {
    return error
  }
}
