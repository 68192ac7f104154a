import { expect, test } from 'vitest'
import type { Context } from '../../../src/cli/context.ts'
import { Printer } from '../../../src/cli/printer.ts'
import { StopRequests } from '../../../src/cli/stop-requests.ts'
import { systemClock } from '../../../src/core/clock.ts'
import { NodeDaemonError } from '../../../src/core/errors.ts'
import { silent } from '../../../src/core/log.ts'
import { systemRandom } from '../../../src/core/random.ts'
import type { RunningInstance } from '../../../src/daemon/options.ts'
import { type FakeTerminal, fakeTerminal } from './fake-terminal.ts'

function scene(): { terminal: FakeTerminal; context: Context; calls: string[]; running: RunningInstance } {
  const terminal = fakeTerminal()
  const calls: string[] = []
  const running: RunningInstance = {
    finished: new Promise(() => undefined),
    drain: async (ms) => void calls.push(`drain ${ms}`),
    flush: async (ms) => void calls.push(`flush ${ms}`),
    abort: () => void calls.push('abort')
  }
  const context: Context = {
    terminal,
    print: new Printer(terminal, false),
    clock: systemClock(),
    random: systemRandom(),
    log: silent,
    data: null,
    flags: {}
  }
  return { terminal, context, calls, running }
}

test('the first signal drains, the second flushes, the third ends at once', async () => {
  const { terminal, context, calls, running } = scene()
  using requests = new StopRequests(context, { onStop: 'drain', deadlineMs: 80_000, hasServed: () => true })
  await requests.apply(Promise.resolve(running))
  terminal.signal('SIGTERM')
  expect(calls).toEqual(['drain 80000'])
  terminal.signal('SIGINT')
  expect(calls).toEqual(['drain 80000', 'flush 80000'])
  expect(terminal.exits).toEqual([])
  terminal.signal('SIGHUP')
  expect(terminal.exits).toEqual([130])
})

test('where nobody can take over, the first signal saves everything and stops', async () => {
  const { terminal, context, calls, running } = scene()
  const refused = new NodeDaemonError('REFUSED_BY_POLICY', 'no other offers its service notes')
  const alone = { ...running, drain: () => Promise.reject(refused) }
  using requests = new StopRequests(context, { onStop: 'drain', deadlineMs: 1000, hasServed: () => true })
  await requests.apply(Promise.resolve(alone))
  terminal.signal('SIGTERM')
  await expect.poll(() => calls).toEqual(['flush 1000'])
  expect(terminal.stderr()).toContain('no other offers its service notes')
})

test('with --on-stop flush the first signal flushes', async () => {
  const { terminal, context, calls, running } = scene()
  using requests = new StopRequests(context, { onStop: 'flush', deadlineMs: 1000, hasServed: () => true })
  await requests.apply(Promise.resolve(running))
  terminal.signal('SIGTERM')
  expect(calls).toEqual(['flush 1000'])
})

test('a signal before it runs gives up, and an instance that comes late is ended', async () => {
  const { terminal, context, calls, running } = scene()
  using requests = new StopRequests(context, { onStop: 'drain', deadlineMs: 1000, hasServed: () => true })
  const late = Promise.withResolvers<RunningInstance>()
  const applied = requests.apply(late.promise)
  terminal.signal('SIGINT')
  await expect(applied).rejects.toMatchObject({ code: 'ABORTED' })
  late.resolve(running)
  await late.promise
  await Promise.resolve()
  expect(calls).toEqual(['abort'])
})

test('an instance whose parent is gone saves everything and stops', async () => {
  const { terminal, context, calls, running } = scene()
  using requests = new StopRequests(context, { onStop: 'drain', deadlineMs: 1000, hasServed: () => true })
  await requests.apply(Promise.resolve(running))
  terminal.orphan()
  expect(calls).toEqual(['flush 1000'])
})

test('a drain that is refused is told, and nothing else happens', async () => {
  const { terminal, context, running } = scene()
  using requests = new StopRequests(context, { onStop: 'drain', deadlineMs: 1000, hasServed: () => true })
  await requests.apply(Promise.resolve({ ...running, drain: () => Promise.reject(new Error('no room anywhere')) }))
  terminal.signal('SIGTERM')
  await expect.poll(terminal.stderr).toContain('no room anywhere')
  expect(terminal.exits).toEqual([])
})

test('signals are no longer taken once it has ended', async () => {
  const { terminal, context, calls, running } = scene()
  {
    using requests = new StopRequests(context, { onStop: 'drain', deadlineMs: 1000, hasServed: () => true })
    await requests.apply(Promise.resolve(running))
  }
  terminal.signal('SIGTERM')
  expect(calls).toEqual([])
})
