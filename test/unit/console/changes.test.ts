import { get, type IncomingMessage } from 'node:http'
import { expect, onTestFinished, test } from 'vitest'
import { createSocketServer } from '../../../src/console/http-api.ts'
import { silent } from '../../../src/core/log.ts'
import { manualClock } from '../../tools/clock.ts'
import { FakeCoordinator } from './fakes.ts'

async function start() {
  const service = new FakeCoordinator()
  const clock = manualClock()
  const server = createSocketServer({ service, clock, log: silent })
  const port = await server.listen({ host: '127.0.0.1', port: 0 })
  onTestFinished(async () => {
    const closed = server.close()
    clock.advance(2_000)
    await closed
  })
  return { service, clock, server, port }
}

async function openEvents(port: number) {
  const { promise, resolve } = Promise.withResolvers<IncomingMessage>()
  const outgoing = get({ host: '127.0.0.1', port, path: '/api/v1/events', agent: false }, resolve)
  const incoming = await promise
  onTestFinished(() => void outgoing.destroy())
  incoming.setEncoding('utf8')
  const parts = incoming[Symbol.asyncIterator]() as AsyncIterator<string>
  let text = ''
  return {
    incoming,
    outgoing,
    /** The next whole event, or null at the end. */
    async next(): Promise<string | null> {
      while (!text.includes('\n\n')) {
        const { value, done } = await parts.next()
        if (done === true) return null
        text += value
      }
      const end = text.indexOf('\n\n') + 2
      const event = text.slice(0, end)
      text = text.slice(end)
      return event
    }
  }
}

test('a stream begins with every topic, then gathers changes: four events a second at most', async () => {
  const { service, clock, port } = await start()
  const events = await openEvents(port)
  expect(events.incoming.headers['content-type']).toBe('text/event-stream')
  expect(await events.next()).toBe('event: change\ndata: {"topics":["peers","workspaces","drains"]}\n\n')
  const change = (topic: 'peers' | 'drains'): void => {
    for (const listener of service.listeners) listener(topic)
  }
  for (let i = 0; i < 100; i += 1) change('peers')
  change('drains')
  clock.advance(250)
  expect(await events.next()).toBe('event: change\ndata: {"topics":["peers","drains"]}\n\n')
  clock.advance(250)
  change('drains')
  expect(await events.next()).toBe('event: change\ndata: {"topics":["drains"]}\n\n')
})

test('a quiet stream shows that it lives, and ends in time to be checked anew', async () => {
  const { service, clock, port } = await start()
  const events = await openEvents(port)
  await events.next()
  clock.advance(15_000)
  expect(await events.next()).toBe(': still here\n\n')
  clock.advance(5 * 60_000)
  let last: string | null = ''
  while (last !== null) last = await events.next()
  expect(service.listeners.size).toBe(0)
})

test('streams are bounded, and one that ends makes room', async () => {
  const { service, port } = await start()
  const streams = await Promise.all(Array.from({ length: 64 }, () => openEvents(port)))
  const refused = await openEvents(port)
  expect(refused.incoming.statusCode).toBe(503)
  const [first] = streams
  const before = service.listeners
  expect(before.size).toBe(64)
  const left = Promise.withResolvers<void>()
  const remove = before.delete.bind(before)
  before.delete = (listener) => {
    left.resolve()
    return remove(listener)
  }
  first?.outgoing.destroy()
  await left.promise
  expect((await openEvents(port)).incoming.statusCode).toBe(200)
})

test('closing the server ends its streams', async () => {
  const { server, service, port } = await start()
  const events = await openEvents(port)
  await events.next()
  await server.close()
  expect(await events.next()).toBe(null)
  expect(service.listeners.size).toBe(0)
})
