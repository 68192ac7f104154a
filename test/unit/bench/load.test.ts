import { once } from 'node:events'
import { type AddressInfo, connect, createServer } from 'node:net'
import { expect, test } from 'vitest'
import { atFullSpeed, onSchedule, type Send } from '../../bench/load.ts'
import { Relay } from '../../bench/relay.ts'
import { salted } from '../../bench/sync/files.ts'
import { addedBytes } from '../../bench/sync/restic.ts'

const HELD_MS = 60
const ANSWER_BYTES = 3_000_000

test('on a schedule, waiting counts from the scheduled moment, and a user sends one at a time', async () => {
  const held = new Promise<void>((resolve) => setTimeout(resolve, HELD_MS))
  let atOnce = 0
  let most = 0
  const send: Send = async () => {
    atOnce += 1
    most = Math.max(most, atOnce)
    await held
    atOnce -= 1
    return null
  }
  const answered = await onSchedule([send], 1000, 20)
  expect([answered.requests, answered.failed, most]).toEqual([20, 0, 1])
  // The last one was due after 20 ms, and none was answered before 60.
  expect(answered.p50Ms).toBeGreaterThanOrEqual(HELD_MS - 25)
})

test('a schedule goes round the users', async () => {
  const sent = [0, 0, 0]
  const users = sent.map(
    (_, user): Send =>
      async () => {
        sent[user] = (sent[user] ?? 0) + 1
        return null
      }
  )
  await onSchedule(users, 1000, 9)
  expect(sent).toEqual([3, 3, 3])
})

test('what failed is counted, and a user whose connection is gone sends no more', async () => {
  let refused = 0
  let gone = 0
  const answered = await atFullSpeed(
    [
      async () => {
        refused += 1
        await new Promise((resolve) => setImmediate(resolve))
        return 'status 503'
      },
      async () => {
        gone += 1
        throw new Error('gone')
      }
    ],
    20
  )
  expect(gone).toBe(1)
  expect(answered).toMatchObject({ requests: refused + 1, failed: refused + 1, failure: 'gone' })
})

test('the relay counts each direction and passes everything on', async () => {
  const server = createServer({ allowHalfOpen: true }, (socket) => {
    let left = 5
    socket.on('data', (bytes) => {
      left -= bytes.length
      if (left === 0) socket.end(Buffer.alloc(ANSWER_BYTES))
    })
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  try {
    await using relay = await Relay.start((server.address() as AddressInfo).port)
    const socket = connect({ host: '127.0.0.1', port: relay.port })
    socket.end('hello')
    let received = 0
    for await (const part of socket) received += part.length
    expect(received).toBe(ANSWER_BYTES)
    expect([relay.sentBytes, relay.receivedBytes]).toEqual([5, ANSWER_BYTES])
  } finally {
    server.close()
  }
})

test('salted bytes differ for each number and leave the source as it is', () => {
  const part = Buffer.alloc(64, 'x')
  const texts = [0, 1, 2].map((number) => salted(part, number).toString('hex'))
  expect(new Set([...texts, part.toString('hex')]).size).toBe(4)
  expect(part.equals(Buffer.alloc(64, 'x'))).toBe(true)
})

test('of a report of restic the last line counts', () => {
  const report = '{"message_type":"status"}\n{"message_type":"summary","data_added":123}\n'
  expect(addedBytes(report)).toBe(123)
})
