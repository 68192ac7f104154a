import { expect, test } from 'vitest'
import { createIdentity, pairingCode } from '../../../src/core/identity.ts'
import {
  dialable,
  formatMultiaddr,
  isLoopbackHost,
  parseMultiaddr,
  type Reachable
} from '../../../src/membership/addresses.ts'
import { checkOwnCode } from '../../../src/membership/pairing.ts'
import { checkTrust, inviteLink, parseTarget } from '../../../src/membership/target.ts'

const PEER = (await createIdentity()).peerId
const SECRET = 'a'.repeat(43)

test.each([
  ['https://main.example.org', 'https://main.example.org'],
  ['  main.example.org  ', 'https://main.example.org'],
  ['main.example.org:8443', 'https://main.example.org:8443'],
  ['MAIN.example.org/galaxy/?x=1', 'https://main.example.org'],
  ['http://192.0.2.1:9480/', 'http://192.0.2.1:9480'],
  ['[2001:db8::1]:9480', 'https://[2001:db8::1]:9480'],
  ['127.0.0.1:9480', 'http://127.0.0.1:9480'],
  ['localhost:9480', 'http://localhost:9480'],
  ['coordinator', 'https://coordinator']
])('%j is the web address %s', (text, origin) => {
  const target = parseTarget(text)
  expect(target).toMatchObject({ kind: 'web', invite: null, peer: null })
  expect(target.kind === 'web' && target.url.origin).toBe(origin)
})

test.each([
  `/ip4/192.0.2.1/tcp/9470/p2p/${PEER}`,
  `/ip6/2001:db8::1/tcp/9470/p2p/${PEER}`,
  `/dns4/main.example.org/tcp/443/tls/ws/p2p/${PEER}`
])('%s is a multiaddr', (address) => {
  expect(parseTarget(address)).toEqual({ kind: 'multiaddr', address, peer: PEER, invite: null })
})

test('an invite link of either form can be read back, and its secret stands behind the #', () => {
  const web = inviteLink(SECRET, PEER, { web: 'https://main.example.org/' })
  expect(web).toBe(`https://main.example.org/.well-known/node-daemon#invite=${SECRET}&peer=${PEER}`)
  expect(parseTarget(web)).toMatchObject({ kind: 'web', invite: SECRET, peer: PEER })
  for (const address of ['/ip4/192.0.2.1/tcp/9470', `/ip4/192.0.2.1/tcp/9470/p2p/${PEER}`]) {
    expect(parseTarget(inviteLink(SECRET, PEER, { address }))).toEqual({
      kind: 'multiaddr',
      address: `/ip4/192.0.2.1/tcp/9470/p2p/${PEER}`,
      peer: PEER,
      invite: SECRET
    })
  }
})

test.each([
  ['', /no address/],
  ['x'.repeat(3000), /no address/],
  ['not a url', /no address/],
  ['ftp://main.example.org', /ftp/],
  ['https://', /no address/],
  ['https://user:pass@main.example.org', /password/],
  ['http://0.0.0.0:9480', /every address/],
  [PEER, /does not say where/],
  ['/ip4/192.0.2.1/tcp/9470', /names no PeerId/],
  ['/ip4/192.0.2.1/tcp/9470/p2p/nonsense', /not a multiaddr/],
  ['/ip4/300.0.0.1/tcp/9470', /not a multiaddr/],
  ['/ip4/192.0.2.1/tcp/0', /not a multiaddr/],
  ['/ip4/192.0.2.1/udp/9470/quic-v1', /not a multiaddr/],
  [`/ip4/0.0.0.0/tcp/9470/p2p/${PEER}`, /every address/],
  [`https://main.example.org/#invite=${SECRET}`, /incomplete/],
  [`https://main.example.org/#invite=cut&peer=${PEER}`, /damaged/],
  [`https://main.example.org/#invite=${SECRET}&peer=cut`, /damaged/]
])('%j is refused with what to give instead', (text, why) => {
  const reading = (): unknown => parseTarget(text)
  expect(reading).toThrow(expect.objectContaining({ code: 'BAD_USAGE', message: expect.stringMatching(why) }))
  expect(reading).toThrow(expect.objectContaining({ advice: expect.stringMatching(/./) }))
})

test('joining another machine over plain http without any proof needs a code', () => {
  const none = { code: false, terminal: false }
  const required = expect.objectContaining({ code: 'CODE_REQUIRED', advice: expect.stringContaining('--code') })
  const plain = parseTarget('http://main.example.org')
  expect(() => checkTrust(plain, none)).toThrow(required)
  expect(() => checkTrust(parseTarget('http://127.evil.example.org'), none)).toThrow(required)
  checkTrust(plain, { ...none, code: true })
  checkTrust(plain, { ...none, terminal: true })
  const trusted = [
    'https://main.example.org',
    'http://127.0.0.1:9480',
    'http://[::1]:9480',
    `/ip4/192.0.2.1/tcp/9470/p2p/${PEER}`,
    inviteLink(SECRET, PEER, { web: 'http://main.example.org' })
  ]
  for (const text of trusted) checkTrust(parseTarget(text), none)
})

test('the volunteer’s code is checked against both keys', async () => {
  const own = (await createIdentity()).peerId
  checkOwnCode(pairingCode(own, PEER).toUpperCase(), own, PEER)
  const other = (await createIdentity()).peerId
  const wrong = expect.objectContaining({ code: 'WRONG_COORDINATOR' })
  expect(() => checkOwnCode(pairingCode(own, other), own, PEER)).toThrow(wrong)
})

test.each([
  ['127.0.0.1', true],
  ['127.8.8.8', true],
  ['::1', true],
  ['[0:0:0:0:0:0:0:1]', true],
  ['::ffff:127.0.0.1', true],
  ['localhost', true],
  ['x.localhost.', true],
  ['127.example.org', false],
  ['localhost.example.org', false],
  ['128.0.0.1', false],
  ['0.0.0.0', false],
  ['::', false]
])('is %s the machine itself? %s', (host, expected) => {
  expect(isLoopbackHost(host)).toBe(expected)
})

test.each([
  ['its own', ['/ip4/198.51.100.7/tcp/1', '/ip4/127.0.0.1/tcp/1'], 'main.example.org', ['/ip4/198.51.100.7/tcp/1']],
  ['none but loopback', ['/ip4/127.0.0.1/tcp/9470'], 'main.example.org', ['/dns/main.example.org/tcp/9470']],
  ['none but loopback', ['/ip4/127.0.0.1/tcp/9470'], '192.0.2.1', ['/ip4/192.0.2.1/tcp/9470']],
  ['none but loopback', ['/ip6/::1/tcp/9470/ws'], '[2001:db8::1]', ['/ip6/2001:db8::1/tcp/9470/ws']],
  ['loopback, asked on loopback', ['/ip4/127.0.0.1/tcp/9470'], 'localhost', ['/ip4/127.0.0.1/tcp/9470']],
  ['only "all addresses"', ['/ip4/0.0.0.0/tcp/9470'], '127.0.0.1', ['/ip4/127.0.0.1/tcp/9470']],
  ['"all addresses" too', ['/ip4/0.0.0.0/tcp/1', '/ip4/198.51.100.7/tcp/1'], '127.0.0.1', ['/ip4/198.51.100.7/tcp/1']]
])('a coordinator that says %s is dialled where it can be', (_, addresses, webHost, expected) => {
  const parsed = addresses.map(parseMultiaddr).filter((address): address is Reachable => address !== null)
  expect(dialable(parsed, webHost).map(formatMultiaddr)).toEqual(expected)
})
