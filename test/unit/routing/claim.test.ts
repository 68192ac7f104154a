import { describe, expect, test } from 'vitest'
import type { GroupName, OwnerId, ServiceName, UserId, WorkspaceId } from '../../../src/core/ids.ts'
import type { Rights } from '../../../src/membership/groups.ts'
import { claimOf } from '../../../src/routing/claim.ts'
import type { Groups, ServiceRoute, ServiceScope } from '../../../src/routing/neighbours.ts'
import { ALICE, Federation, TOKEN } from './federation.ts'

const BOB = 'user:bob' as UserId
const GUEST = `guest:${'c'.repeat(32)}` as UserId
const LAB = 'lab' as GroupName

const groups: Groups = {
  rightsOf: (group, user): Rights | null => {
    if (group === 'open') return user === ALICE || user === BOB ? 'write' : null
    return group !== LAB ? null : user === ALICE ? 'write' : user === BOB ? 'read' : null
  },
  of: (user) => (user === ALICE ? [LAB, 'open' as GroupName] : [])
}

const service = (
  scope: ServiceScope,
  route: ServiceRoute['route'],
  writers: GroupName | null = null
): ServiceRoute => ({
  name: 'wiki' as ServiceName,
  route,
  scope,
  writers
})
const WIKI = { kind: 'path', prefix: '/wiki' } as const
const HOST = { kind: 'host', host: 'wiki.example.org' } as const

const claim = (of: ServiceRoute, user: UserId | null, url: string, method = 'GET', upgrade = false) =>
  claimOf(of, { method, url, upgrade, user }, groups)

describe('whose workspace a request is for', () => {
  test('is the user’s own, and of a newcomer nobody’s yet', () => {
    const own = service('user', WIKI)
    expect(claim(own, ALICE, '/wiki/x', 'PUT')).toEqual({ owner: ALICE, rights: 'write', prefix: '/wiki' })
    expect(claim(own, GUEST, '/wiki', 'PUT')).toEqual({ owner: GUEST, rights: 'write', prefix: '/wiki' })
    expect(claim(own, null, '/wiki')).toEqual({ owner: null, rights: 'write', prefix: '/wiki' })
  })

  test('is the one of the group that the path names after the route', () => {
    const shared = service('group', WIKI)
    for (const url of ['/wiki/lab', '/wiki/lab/', '/wiki/lab/a/../b', '/wiki/lab?x=/open/']) {
      expect(claim(shared, ALICE, url, 'PUT'), url).toEqual({
        owner: 'group:lab',
        rights: 'write',
        prefix: '/wiki/lab'
      })
    }
    expect(claim(service('group', HOST), BOB, '/lab/x')).toEqual({ owner: 'group:lab', rights: 'read', prefix: '/lab' })
    expect(claim(service('group', { kind: 'path', prefix: '' }), BOB, '/lab')).toMatchObject({ prefix: '/lab' })
  })

  test('is nobody’s where the user is not in the group, or there is none of that name', () => {
    const shared = service('group', WIKI)
    for (const url of [
      '/wiki/other/',
      '/wiki/LAB/',
      '/wiki/l%61b/',
      '/wiki/..%2flab/',
      '/wiki/../lab/',
      '/wiki/lab;x/'
    ]) {
      expect(claim(shared, ALICE, url), url).toEqual({ why: 'no-member' })
    }
    expect(claim(shared, 'user:eve' as UserId, '/wiki/lab/')).toEqual({ why: 'no-member' })
    for (const user of [null, GUEST]) expect(claim(shared, user, '/wiki/lab/')).toEqual({ why: 'sign-in' })
  })

  test('is to be chosen where the path names no group', () => {
    const shared = service('group', WIKI)
    for (const url of ['/wiki', '/wiki/', '/wiki?a', '/wiki/?a', '/wiki//lab/']) {
      expect(claim(shared, ALICE, url), url).toEqual({ why: 'choose', prefix: '/wiki', groups: ['lab', 'open'] })
    }
  })

  test('who may read only changes nothing, and opens no other connection', () => {
    const shared = service('group', WIKI)
    for (const method of ['PUT', 'POST', 'DELETE', 'MKCOL', 'LOCK', 'PROPPATCH', 'BREW']) {
      expect(claim(shared, BOB, '/wiki/lab/x', method), method).toEqual({ why: 'read-only' })
    }
    expect(claim(shared, BOB, '/wiki/lab/x', 'GET', true)).toEqual({ why: 'read-only' })
    for (const method of ['GET', 'HEAD', 'OPTIONS', 'PROPFIND']) {
      expect(claim(shared, BOB, '/wiki/lab/x', method), method).toMatchObject({ rights: 'read' })
    }
  })

  test('is the service’s for all, where its writers are named for those to change', () => {
    const open = service('service', WIKI)
    for (const user of [ALICE, GUEST]) {
      expect(claim(open, user, '/wiki/x', 'PUT')).toEqual({ owner: 'service:wiki', rights: 'write', prefix: '/wiki' })
    }
    expect(claim(open, null, '/wiki/x')).toMatchObject({ owner: 'service:wiki' })
    const kept = service('service', WIKI, LAB)
    expect(claim(kept, ALICE, '/wiki/x', 'PUT')).toMatchObject({ rights: 'write' })
    for (const user of [BOB, GUEST, null]) {
      expect(claim(kept, user, '/wiki/x')).toMatchObject({ owner: 'service:wiki', rights: 'read' })
      expect(claim(kept, user, '/wiki/x', 'PUT')).toEqual({ why: 'read-only' })
    }
  })
})

describe('through the front door', () => {
  const WIKI_NAME = 'wiki' as ServiceName
  const SHARED = 'd'.repeat(32) as WorkspaceId

  /** Alice may write and Bob may read in the group; Bob’s token is `bobs-token`. */
  async function door(of: ServiceRoute) {
    const fed = await Federation.start({
      groups,
      users: {
        byToken: async (token) => (token === TOKEN ? { user: ALICE } : token === 'bobs-token' ? { user: BOB } : null)
      }
    })
    fed.table.list = [of]
    const bob = { authorization: 'Bearer bobs-token' }
    return { fed, bob }
  }

  test('two users of one service share its workspace, and the app is told who asks', async () => {
    const { fed, bob } = await door(service('service', WIKI))
    await using _ = fed
    fed.table.put('service:wiki' as OwnerId, fed.beta.serving(SHARED, 3), WIKI_NAME)
    expect((await fed.ask('PUT', '/wiki/a', { body: 'x' })).text).toBe('beta:PUT:x')
    expect((await fed.send('PUT', '/wiki/a', { headers: bob, body: 'y' })).text).toBe('beta:PUT:y')
    expect(fed.beta.seen.map(({ headers, target }) => [headers['x-remote-user'], target.workspace])).toEqual([
      [ALICE, SHARED],
      [BOB, SHARED]
    ])
    expect(fed.beta.seen[0]?.headers).toMatchObject({ 'x-workspace-rights': 'write', 'x-forwarded-prefix': '/wiki' })
    const newcomer = await fed.send('GET', '/wiki/a')
    expect(newcomer.text).toBe('beta:GET:')
    expect(fed.beta.seen[2]?.headers).not.toHaveProperty('x-remote-user')
  })

  test('the first change of a writer makes the workspace of the group, and a reader only reads it', async () => {
    const { fed, bob } = await door(service('group', WIKI))
    await using _ = fed
    expect((await fed.send('PUT', '/wiki/lab/a', { headers: bob, body: 'y' })).status).toBe(403)
    expect(fed.table.created).toEqual([])
    expect((await fed.ask('PUT', '/wiki/lab/a', { body: 'x' })).text).toBe('alpha:PUT:x')
    expect(fed.table.created).toEqual(['group:lab'])
    const spoofed = { ...bob, 'x-workspace-rights': 'write', x_workspace_rights: 'write' }
    expect((await fed.send('GET', '/wiki/lab/a', { headers: spoofed })).text).toBe('alpha:GET:')
    const seen = fed.alpha.seen.at(-1)
    expect(seen?.headers).toMatchObject({ 'x-workspace-rights': 'read', 'x-forwarded-prefix': '/wiki/lab' })
    expect(seen?.headers).not.toHaveProperty('x_workspace_rights')
    expect(seen?.target.prefix).toBe('/wiki/lab')
    const upgrade = { ...bob, connection: 'Upgrade', upgrade: 'websocket' }
    expect((await fed.send('GET', '/wiki/lab/live', { headers: upgrade })).status).toBe(403)
    expect((await fed.ask('GET', '/wiki/other/a')).status).toBe(403)
    const nobody = await fed.send('GET', '/wiki/lab/a')
    expect([nobody.status, nobody.headers['www-authenticate']]).toEqual([401, 'Basic realm="Test", charset="UTF-8"'])
    expect(fed.alpha.seen).toHaveLength(2)
  })

  test('the root of a service of groups leads to those of the user', async () => {
    const { fed, bob } = await door(service('group', WIKI))
    await using _ = fed
    const page = await fed.ask('GET', '/wiki/', { headers: { accept: 'text/html' } })
    expect([page.status, page.headers['x-served-by']]).toEqual([200, 'front-door'])
    expect(page.text).toContain('<p><a href="/wiki/lab/">lab</a></p><p><a href="/wiki/open/">open</a></p>')
    expect((await fed.ask('GET', '/wiki')).text).toMatch(/^Your groups\n.*\n\/wiki\/lab\/\n\/wiki\/open\/\n$/)
    expect((await fed.send('GET', '/wiki/', { headers: bob })).status).toBe(403)
  })
})
