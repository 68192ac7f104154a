import { describe, expect, test } from 'vitest'
import { Clients } from '../../../src/routing/client.ts'
import { addressOf, parseForwarded } from '../../../src/routing/forwarded.ts'

const PROXIES = ['10.0.0.0/8', 'fd00::/8']

function clientOf(headers: Record<string, string>, from = '10.0.0.1') {
  const clients = new Clients({ trustProxy: PROXIES, secure: false })
  return clients.of({ headers: { host: 'door', ...headers }, socket: { remoteAddress: from } })
}

describe('the client is the nearest address that is no trusted proxy', () => {
  test.each([
    ['one proxy', '9.9.9.9', '9.9.9.9', '9.9.9.9, 10.0.0.1'],
    ['two proxies', '9.9.9.9, 10.0.0.2', '9.9.9.9', '9.9.9.9, 10.0.0.2, 10.0.0.1'],
    ['what the client says of itself', '1.1.1.1, 9.9.9.9', '9.9.9.9', '9.9.9.9, 10.0.0.1'],
    ['a client that says it is a proxy', '1.1.1.1, 10.0.0.3, 9.9.9.9', '9.9.9.9', '9.9.9.9, 10.0.0.1'],
    ['a proxy of IPv6', '9.9.9.9, fd00::2', '9.9.9.9', '9.9.9.9, fd00::2, 10.0.0.1'],
    ['ports', '9.9.9.9:4711, 10.0.0.2:80', '9.9.9.9', '9.9.9.9, 10.0.0.2, 10.0.0.1'],
    ['IPv6 in brackets', '[2001:DB8::1]:443', '2001:db8::1', '2001:db8::1, 10.0.0.1'],
    ['IPv4 as IPv6', '::ffff:9.9.9.9', '9.9.9.9', '9.9.9.9, 10.0.0.1'],
    ['a proxy that hides it', 'unknown', '10.0.0.1', '10.0.0.1'],
    ['what is no address', '9.9.9.9, <script>', '10.0.0.1', '10.0.0.1'],
    ['only proxies', '10.0.0.9', '10.0.0.9', '10.0.0.9, 10.0.0.1']
  ])('X-Forwarded-For: %s', (_what, header, address, addresses) => {
    expect(clientOf({ 'x-forwarded-for': header })).toMatchObject({ trusted: true, address, addresses })
  })

  test.each([
    ['one proxy', 'for=9.9.9.9;proto=https;host=main.example', '9.9.9.9', 'https', 'main.example'],
    [
      'the furthest trusted one tells',
      'for=9.9.9.9;proto=https;host=main.example, for=10.0.0.2;proto=http;host=inner',
      '9.9.9.9',
      'https',
      'main.example'
    ],
    ['the client says more', 'for=1.1.1.1;proto=https;host=evil.example, for=9.9.9.9', '9.9.9.9', 'http', 'door'],
    ['quotes and case', 'For="[2001:db8::1]:4711";Proto=HTTPS', '2001:db8::1', 'https', 'door'],
    ['a hidden one', 'for=_secret;proto=https', '10.0.0.1', 'https', 'door'],
    ['malformed', 'for=9.9.9.9;proto=https, for="10.0.0.2', '10.0.0.1', 'http', 'door'],
    ['one name twice', 'for=9.9.9.9;for=8.8.8.8', '10.0.0.1', 'http', 'door']
  ])('Forwarded: %s', (_what, forwarded, address, scheme, host) => {
    expect(clientOf({ forwarded })).toMatchObject({ trusted: true, address, scheme, host })
  })
})

test('a Forwarded of the client, beside what the proxy sets, is not believed', () => {
  const client = clientOf({ forwarded: 'for=1.1.1.1;host=evil.example;proto=https', 'x-forwarded-for': '9.9.9.9' })
  expect(client).toMatchObject({ address: '9.9.9.9', scheme: 'http', host: 'door' })
})

test('what a proxy adds to a list counts, not what the client had put there', () => {
  const told = { 'x-forwarded-for': '9.9.9.9', 'x-forwarded-host': 'evil.example, main.example' }
  expect(clientOf({ ...told, 'x-forwarded-proto': 'http,https' })).toMatchObject({
    scheme: 'https',
    host: 'main.example'
  })
})

test('from anybody else nothing of it is believed', () => {
  const headers = { 'x-forwarded-for': '1.1.1.1', 'x-forwarded-proto': 'https', forwarded: 'for=1.1.1.1' }
  expect(clientOf(headers, '::ffff:9.9.9.9')).toEqual({
    trusted: false,
    address: '9.9.9.9',
    addresses: '9.9.9.9',
    scheme: 'http',
    host: 'door'
  })
})

test.each(['', '9.9.9', '9.9.9.9:', '9.9.9.9:123456', '[9.9.9.9]', '[::1', '::1]', 'fe80::1%eth0', '1'.repeat(400)])(
  '%j is no address',
  (text) => expect(addressOf(text)).toBeNull()
)

test.each(['for', 'for=', '=x', 'for=a b', 'for="a', 'for=a;;=', 'for=\x01', `${' '.repeat(16_000)}!`])(
  'a Forwarded header that is none: %j',
  (text) => expect(parseForwarded(text)).toBeNull()
)
