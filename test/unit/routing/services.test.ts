import { describe, expect, test } from 'vitest'
import { codeOf } from '../../../src/core/errors.ts'
import type { ServiceName } from '../../../src/core/ids.ts'
import { memoryKeyValue } from '../../../src/core/key-value.ts'
import type { Decision } from '../../../src/membership/audit.ts'
import type { NewService } from '../../../src/routing/declaration.ts'
import { compileRoutes } from '../../../src/routing/route.ts'
import { parseRoute, routeText } from '../../../src/routing/service-route.ts'
import { Services } from '../../../src/routing/services.ts'
import { type ControlStore, controlStore } from '../../../src/store/control-store.ts'
import type { AcknowledgeLevel } from '../../../src/wire/control.ts'

const NOTES: NewService = {
  name: 'notes',
  route: '/notes',
  scope: 'user',
  acknowledge: 'local',
  version: '2.1',
  needs: {},
  writers: null
}

async function opened(store: ControlStore = controlStore(memoryKeyValue()), unsaid: AcknowledgeLevel = 'replicated') {
  const decisions: Decision[] = []
  const counts = new Map<string, number>()
  /** Runs before a decision is kept. */
  const meanwhile = { do: (): void => undefined }
  const audit = async (decision: Decision): Promise<void> => {
    meanwhile.do()
    decisions.push(decision)
  }
  const services = await Services.open(
    { store, audit, workspaces: (name) => counts.get(name) ?? 0, hasGroup: (name) => name === 'lab' },
    unsaid
  )
  return { services, decisions, counts, meanwhile, store }
}

const refused = (work: Promise<unknown>): Promise<string> => work.then(() => 'done', codeOf)
const names = (services: Services): string[] => services.list().map(({ name }) => name)

describe('a declared service', () => {
  test('is files at first, at the level of the coordinator, also when that is another one after a restart', async () => {
    const { services, store } = await opened(undefined, 'local')
    expect(services.list()).toEqual([
      {
        name: 'files',
        route: { kind: 'path', prefix: '' },
        scope: 'user',
        acknowledge: 'local',
        version: '1',
        needs: {},
        writers: null
      }
    ])
    await services.add({ ...NOTES, acknowledge: null }, 'root')
    const after = await opened(store, 'replicated')
    expect(after.services.levels()).toEqual([
      { name: 'files', acknowledge: 'replicated' },
      { name: 'notes', acknowledge: 'replicated' }
    ])
  })

  test('holds at once, after a restart, and stands in the audit log', async () => {
    const { services, decisions, store } = await opened()
    const before = services.list()
    let told = 0
    services.onChange(() => told++)
    await services.add(NOTES, 'root')
    expect(services.levelOf('notes' as ServiceName)).toBe('local')
    expect(compileRoutes(services.list()).find('h', '/notes/1')).toMatchObject({ service: { name: 'notes' } })
    expect([told, before.length]).toEqual([1, 1])
    const now = services.list()
    expect(services.list()).toBe(now)
    const { services: after } = await opened(store)
    expect(after.list()).toEqual(services.list())
    expect(decisions).toEqual([
      {
        actor: 'root',
        action: 'service.add',
        target: 'notes',
        details: { route: '/notes', scope: 'user', acknowledge: 'local', version: '2.1', needs: {}, writers: null }
      }
    ])
  })

  test('needs a name and a route of its own, and a version', async () => {
    const { services } = await opened()
    await services.add(NOTES, 'root')
    const wrong: [Partial<NewService>, string][] = [
      [{}, 'NAME_TAKEN'],
      [{ name: 'other' }, 'NAME_TAKEN'],
      [{ name: 'other', route: '/' }, 'NAME_TAKEN'],
      [{ name: 'Other', route: '/other' }, 'BAD_USAGE'],
      [{ name: 'other', route: 'other' }, 'BAD_USAGE'],
      [{ name: 'other', route: '/other', version: '' }, 'BAD_USAGE']
    ]
    for (const [change, code] of wrong) expect(await refused(services.add({ ...NOTES, ...change }, 'root'))).toBe(code)
    expect(names(services)).toEqual(['files', 'notes'])
  })

  test('is one of 64 at most', async () => {
    const { services } = await opened()
    for (let index = 1; index < 64; index++)
      await services.add({ ...NOTES, name: `s${index}`, route: `/${index}` }, 'root')
    expect(await refused(services.add(NOTES, 'root'))).toBe('REFUSED_BY_POLICY')
  })

  test('goes where it has no workspaces, and not where a user begins one meanwhile', async () => {
    const { services, counts, meanwhile, decisions } = await opened()
    await services.add(NOTES, 'root')
    counts.set('notes', 2)
    expect(await refused(services.remove('notes', 'root'))).toBe('REFUSED_BY_POLICY')
    counts.set('notes', 0)
    meanwhile.do = () => counts.set('notes', 1)
    expect(await refused(services.remove('notes', 'root'))).toBe('REFUSED_BY_POLICY')
    expect(names(services)).toEqual(['files', 'notes'])
    expect(decisions.at(-1)?.action).toBe('service.rm.undone')
    meanwhile.do = () => undefined
    counts.clear()
    await services.remove('notes', 'root')
    expect(names(services)).toEqual(['files'])
    expect(await refused(services.remove('notes', 'root'))).toBe('NOT_FOUND')
  })

  test('has a level that holds for one who hears of one level alone: local only where all are', async () => {
    const { services } = await opened()
    expect(services.strictest()).toBe('replicated')
    await services.add(NOTES, 'root')
    expect(services.strictest()).toBe('replicated')
    await services.remove('files', 'root')
    expect([services.levelOf('notes' as ServiceName), services.strictest()]).toEqual(['local', 'local'])
  })

  test('that is not declared counts as local: whoever serves it may acknowledge by itself', async () => {
    const { services } = await opened()
    expect(services.levelOf('photos' as ServiceName)).toBe('local')
  })
})

describe('a route', () => {
  test.each(['/', '/notes', '/lab/notes', '/~ada/a.b_c-1', 'host:notes.example.org', 'host:localhost'])(
    '%s is read and written alike',
    (text) => {
      expect(routeText(parseRoute(text))).toBe(text)
    }
  )

  test('may end with a slash, and a host be written in capitals', () => {
    expect([routeText(parseRoute('/notes/')), routeText(parseRoute('host:Notes.Example.ORG'))]).toEqual([
      '/notes',
      'host:notes.example.org'
    ])
  })

  test.each([
    '',
    'notes',
    '//',
    '/a//b',
    '/..',
    '/a/../b',
    '/.well-known',
    '/.well-known/node-daemon',
    '/a b',
    '/a?b',
    '/ä',
    '/%61',
    `/${'a'.repeat(300)}`,
    'host:',
    'host:a_b',
    'host:-a.org',
    'host:a.org:80',
    `host:${'a.'.repeat(200)}org`
  ])('"%s" is none', (text) => {
    expect(() => parseRoute(text)).toThrow(expect.objectContaining({ code: 'BAD_USAGE' }))
  })
})

describe('what is said of a service', () => {
  const WIKI: NewService = {
    ...NOTES,
    name: 'wiki',
    route: '/wiki',
    scope: 'service',
    writers: 'lab',
    needs: { gpu: 'yes' }
  }

  test('changes where it is named, also for who asks after a restart', async () => {
    const { services, decisions, store } = await opened()
    await services.add(WIKI, 'root')
    let told = 0
    services.onChange(() => told++)
    await services.change('wiki', { version: '3.0', writers: null }, 'root')
    await services.change('wiki', {}, 'root')
    await services.change('wiki', { version: '3.0' }, 'root')
    const { services: after } = await opened(store)
    for (const now of [services, after]) {
      expect(now.get('wiki' as ServiceName)).toMatchObject({
        route: { kind: 'path', prefix: '/wiki' },
        scope: 'service',
        version: '3.0',
        needs: { gpu: 'yes' },
        writers: null,
        acknowledge: 'local'
      })
    }
    expect([told, decisions.length, decisions[1]?.action]).toEqual([1, 2, 'service.set'])
  })

  test('is checked as at the first time', async () => {
    const { services } = await opened()
    await services.add(WIKI, 'root')
    const wrong: [Parameters<Services['change']>[1], string][] = [
      [{ route: '/' }, 'NAME_TAKEN'],
      [{ version: 'a b' }, 'BAD_USAGE'],
      [{ version: 'abc' }, 'BAD_USAGE'],
      [{ needs: { 'a b': 'x' } }, 'BAD_USAGE'],
      [{ writers: 'club' }, 'NOT_FOUND'],
      [{ writers: 'No' }, 'BAD_USAGE']
    ]
    for (const [change, code] of wrong) expect(await refused(services.change('wiki', change, 'root'))).toBe(code)
    expect(await refused(services.change('other', {}, 'root'))).toBe('NOT_FOUND')
    expect(await refused(services.change('files', { writers: 'lab' }, 'root'))).toBe('BAD_USAGE')
    expect(await refused(services.add({ ...WIKI, name: 'w', route: '/w', scope: 'group' }, 'root'))).toBe('BAD_USAGE')
  })

  test('is what the configuration says from each start on, but for the scope', async () => {
    const { services, store, decisions } = await opened()
    await services.add(NOTES, 'root')
    const config = [WIKI, { ...NOTES, version: '2.2' }]
    await services.declare(config, 'config')
    expect(services.list().map(({ name, version }) => [name, version])).toEqual([
      ['files', '1'],
      ['notes', '2.2'],
      ['wiki', '2.1']
    ])
    const count = decisions.length
    const { services: after, decisions: later } = await opened(store)
    await after.declare(config, 'config')
    expect([count, later]).toEqual([3, []])
    expect(await refused(after.declare([{ ...WIKI, scope: 'user', writers: null }], 'config'))).toBe(
      'REFUSED_BY_POLICY'
    )
  })
})
