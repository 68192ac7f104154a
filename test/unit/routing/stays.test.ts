import { PassThrough } from 'node:stream'
import { expect, test } from 'vitest'
import type { WorkspaceId } from '../../../src/core/ids.ts'
import { Stays } from '../../../src/routing/routes/stays.ts'
import { ManualClock } from './federation.ts'

const request = (workspace: string): never =>
  ({
    headers: { 'x-workspace-id': workspace.repeat(32), 'x-node-daemon-epoch': '3', 'x-node-daemon-service': 'files' }
  }) as never

const answering = (): PassThrough => Object.assign(new PassThrough(), { writeHead: () => undefined })

const [A, B] = ['a', 'b'].map((letter) => letter.repeat(32) as WorkspaceId)

test('users are at work over a connection of theirs, or while a page of theirs has asked for something of late', () => {
  const clock = new ManualClock()
  const stays = new Stays(clock)
  const socket = new PassThrough()
  stays.begin(request('a'), socket, false)
  expect(stays.busy()).toEqual([A])
  socket.emit('close')
  expect(stays.busy()).toEqual([])
  const page = stays.begin(request('b'), new PassThrough(), true)
  page.end()
  clock.pass(60_000)
  expect(stays.busy()).toEqual([B])
  clock.pass(1)
  expect(stays.busy()).toEqual([])
})

test('what goes on where its workspace is not served any more is broken off, and nobody is at work there', async () => {
  const clock = new ManualClock()
  const stays = new Stays(clock)
  const home = { now: true }
  stays.watch((_workspace, epoch) => home.now && epoch === 3)
  const [one, other] = [new PassThrough(), new PassThrough()]
  stays.begin(request('a'), one, true)
  clock.pass(500)
  expect(one.destroyed).toBe(false)
  home.now = false
  stays.begin(request('b'), other, true)
  clock.pass(500)
  expect([one.destroyed, other.destroyed]).toEqual([true, true])
  await new Promise((resolve) => setImmediate(resolve))
  expect(stays.busy()).toEqual([])
})

test('once users must be let in anew, connections end, and requests that do not end by themselves', () => {
  const clock = new ManualClock()
  const stays = new Stays(clock)
  const [socket, before, after] = [new PassThrough(), answering(), answering()]
  stays.begin(request('a'), socket, true)
  stays.begin(request('a'), before as never, true)
  stays.endAll()
  stays.begin(request('a'), after as never, true)
  expect([socket.destroyed, before.destroyed]).toEqual([true, false])
  for (let seconds = 0; seconds < 4; seconds += 0.5) clock.pass(500)
  expect([before.destroyed, after.destroyed]).toEqual([true, false])
})
