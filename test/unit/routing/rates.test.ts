import { EventEmitter } from 'node:events'
import { connect, type Socket } from 'node:net'
import { describe, expect, test } from 'vitest'
import { systemClock } from '../../../src/core/clock.ts'
import type { UserId } from '../../../src/core/ids.ts'
import { networkOf } from '../../../src/core/network-of.ts'
import { Pace } from '../../../src/core/pace.ts'
import type { Client } from '../../../src/routing/client.ts'
import { Connections } from '../../../src/routing/connections.ts'
import { SessionCookies } from '../../../src/routing/cookie.ts'
import { DoorServer } from '../../../src/routing/door-server.ts'
import { FRONT_DOOR_LIMITS } from '../../../src/routing/limits.ts'
import { RATES, Rates } from '../../../src/routing/rates.ts'
import { tooManyGuests } from '../../../src/routing/refusals.ts'
import { manualClock } from '../../tools/clock.ts'
import { COOKIE_KEYS, Federation } from './federation.ts'

const clientAt = (address: string, more: Partial<Client> = {}): Client => ({
  trusted: false,
  address,
  addresses: address,
  scheme: 'http',
  host: 'main.example.org',
  ...more
})

describe('a pace', () => {
  test('lets so many pass at once, then one in each interval, and rests in between', () => {
    const clock = manualClock()
    const pace = new Pace(clock, { burst: 3, everyMs: 100, names: 10 })
    const takes = (count: number): number[] => Array.from({ length: count }, () => pace.take('a'))
    expect(takes(5)).toEqual([0, 0, 0, 100, 100])
    expect(pace.take('b')).toBe(0)
    clock.advance(250)
    expect(takes(3)).toEqual([0, 0, 50])
    clock.advance(10_000)
    expect(takes(4)).toEqual([0, 0, 0, 100])
  })

  test('remembers a bounded number of names, and those that come again longest', () => {
    const pace = new Pace(manualClock(), { burst: 1, everyMs: 100, names: 2 })
    expect([pace.take('a'), pace.take('b'), pace.take('a'), pace.take('c'), pace.take('a')]).toEqual([
      0, 0, 100, 0, 100
    ])
    expect(pace.take('b')).toBe(0)
  })
})

test.each([
  ['2001:db8:1:2::1', '2001:db8:1:2:ffff::9', true],
  ['2001:db8:1:2::1', '2001:db8:1:3::1', false],
  ['2001:0db8:0001:0002::1', '2001:db8:1:2::2', true],
  ['::ffff:192.0.2.1', '192.0.2.1', true],
  ['192.0.2.1', '192.0.2.2', false],
  ['fe80::1%eth0', 'fe80::2%eth1', true]
])('%s and %s are counted together: %s', (one, other, together) => {
  expect(networkOf(one) === networkOf(other)).toBe(together)
})

describe('rates', () => {
  const rates = (): Rates => new Rates(manualClock(), { requestsPerS: 1, guestsPerHour: 1 })

  test('count each client by itself', () => {
    const all = rates()
    const ask = (address: string): number => all.request(clientAt(address))
    expect([ask('192.0.2.1'), ask('192.0.2.1'), ask('192.0.2.1')]).toEqual([0, 0, 1000])
    expect([ask('192.0.2.2'), ask('2001:db8::1'), ask('2001:db8::2'), ask('2001:db8::3')]).toEqual([0, 0, 0, 1000])
    expect([all.newGuest(clientAt('192.0.2.1')), all.newGuest(clientAt('192.0.2.1'))]).toEqual([0, 3_600_000])
  })

  test('count neither this machine nor a proxy that does not tell for whom it asks', () => {
    const all = rates()
    const proxy = clientAt('10.0.0.1', { trusted: true })
    const told = clientAt('192.0.2.1', { trusted: true, addresses: '192.0.2.1, 10.0.0.1' })
    const times = (client: Client): number[] => Array.from({ length: 4 }, () => all.request(client))
    expect([times(clientAt('127.0.0.1')), times(clientAt('::1')), times(proxy)].flat()).toEqual(Array(12).fill(0))
    expect(times(told)).toEqual([0, 0, 1000, 1000])
  })

  test('count nothing where there is no bound', () => {
    const all = new Rates(manualClock(), { requestsPerS: null, guestsPerHour: null })
    const client = clientAt('192.0.2.1')
    for (let turn = 0; turn < 10_000; turn++) expect(all.request(client) + all.newGuest(client)).toBe(0)
  })

  test('bound the connections of one address, until some are closed', () => {
    const all = rates()
    const open = Array.from({ length: FRONT_DOOR_LIMITS.connectionsPerAddress }, () => all.connection('192.0.2.1'))
    expect(open.every((closed) => closed !== null)).toBe(true)
    expect([all.connection('192.0.2.1'), all.connection('192.0.2.2') === null]).toEqual([null, false])
    open[0]?.()
    expect(all.connection('192.0.2.1')).not.toBeNull()
    expect(Array.from({ length: 1000 }, () => all.connection('::1')).includes(null)).toBe(false)
  })
})

test('the connections of one address to an entrance are bounded, save those of proxies and of front doors', () => {
  const clients = { isProxy: (address: string) => address === '192.0.2.7' }
  const connections = new Connections(clients, new Rates(manualClock(), RATES))
  const most = FRONT_DOOR_LIMITS.connectionsPerAddress
  const socket = (remoteAddress: string, remotePort: number): Socket =>
    Object.assign(new EventEmitter(), { remoteAddress, remotePort }) as unknown as Socket
  const from = (address: string, count: number, port = 1000): Socket[] =>
    Array.from({ length: count }, (_, index) => socket(address, port + index))
  const admitted = (sockets: readonly Socket[]): number => sockets.filter((one) => connections.admits(one)).length
  expect(admitted(from('192.0.2.7', most + 1))).toBe(most + 1)
  const sockets = from('192.0.2.1', most + 1)
  expect(admitted(sockets)).toBe(most)
  const [door, closed] = sockets
  if (door !== undefined) connections.ofFrontDoor(door)
  door?.emit('close')
  closed?.emit('close')
  expect(admitted(from('192.0.2.1', 3, 9000))).toBe(2)
})

describe('the front door behind a trusted proxy', () => {
  const behind = { trustProxy: ['127.0.0.1'] }
  const from = (address: string): Record<string, string> => ({ 'x-forwarded-for': address })

  test('refuses a client that asks too often with 429 and when to come again; others do not notice', async () => {
    await using fed = await Federation.start({
      options: { ...behind, rates: { requestsPerS: 2, guestsPerHour: null } }
    })
    const ask = (address: string) => fed.ask('GET', '/', { headers: from(address) })
    const statuses: number[] = []
    for (let turn = 0; turn < 8; turn++) statuses.push((await ask('192.0.2.1')).status)
    expect(statuses.slice(0, 4)).toEqual([200, 200, 200, 200])
    expect(statuses).toContain(429)
    const refused = await ask('192.0.2.1')
    expect([refused.status, Number(refused.headers['retry-after'])]).toEqual([429, 1])
    const others = await Promise.all(Array.from({ length: 50 }, (_, index) => ask(`198.51.100.${index}`)))
    expect(others.every(({ status }) => status === 200)).toBe(true)
  })

  test('is not fooled by what a client claims about itself further away', async () => {
    await using fed = await Federation.start({
      options: { ...behind, rates: { requestsPerS: 2, guestsPerHour: null } }
    })
    const statuses: number[] = []
    for (let turn = 0; turn < 10; turn++) {
      statuses.push((await fed.ask('GET', '/', { headers: from(`203.0.113.${turn}, 192.0.2.1`) })).status)
    }
    expect(statuses).toContain(429)
  })

  test('lets one address begin so many guests an hour; reads go on, and so do those that have begun', async () => {
    await using fed = await Federation.start({
      options: { ...behind, rates: { requestsPerS: null, guestsPerHour: 2 } }
    })
    const cookies = new SessionCookies(COOKIE_KEYS, { secure: false })
    const save = async (guest: string, address = '192.0.2.1'): Promise<number> => {
      const cookie = cookies.issue(`guest:${guest.repeat(32)}` as UserId, Date.now()).split(';')[0] ?? ''
      return (await fed.send('PUT', '/f', { headers: { cookie, ...from(address) }, body: 'x' })).status
    }
    expect([await save('1'), await save('2'), await save('3')]).toEqual([200, 200, 429])
    expect([await save('1'), await save('3', '192.0.2.2')]).toEqual([200, 200])
    expect((await fed.send('GET', '/', { headers: from('192.0.2.1') })).status).toBe(200)
    expect(fed.table.created).toHaveLength(3)
  })

  test('refuses wrong tokens after a while, and the right one never', async () => {
    await using fed = await Federation.start({ options: behind })
    const statuses: number[] = []
    for (let turn = 0; turn < 12; turn++) {
      const headers = { authorization: 'Bearer wrong', ...from('192.0.2.1') }
      statuses.push((await fed.send('GET', '/', { headers })).status)
    }
    expect([statuses[0], statuses.at(-1)]).toEqual([401, 429])
    expect((await fed.ask('GET', '/', { headers: from('192.0.2.1') })).status).toBe(200)
  })
})

test('a spoofed address counts for nothing where no proxy is trusted', async () => {
  await using fed = await Federation.start({ options: { rates: { requestsPerS: 1, guestsPerHour: 1 } } })
  for (let turn = 0; turn < 10; turn++) {
    expect((await fed.ask('GET', '/', { headers: { 'x-forwarded-for': '192.0.2.1' } })).status).toBe(200)
  }
})

test('a connection that is not admitted is closed before anything is read', async () => {
  let taken = 0
  const server = new DoorServer({ clock: systemClock(), take: () => taken++, admits: () => false }, { holdMs: 1000 })
  const { port } = await server.listen('127.0.0.1', 0)
  const socket = connect(port, '127.0.0.1')
  socket.write('GET / HTTP/1.1\r\nhost: x\r\n\r\n')
  await new Promise<void>((resolve) => socket.on('error', () => undefined).once('close', () => resolve()))
  expect(taken).toBe(0)
  await server.close()
})

test('a guest beyond the rate is told what it is about, and when', () => {
  const page = tooManyGuests(1_169_000)
  expect(page).toMatchObject({ status: 429, title: 'Too many new guests', retryAfterS: 1169 })
  expect(page.text).toContain('for 20 minutes')
})
