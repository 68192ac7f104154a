import { AUTH, BOBS_WORKSPACE, type Case, CHUNKED_END, chunked, get, HIDDEN, post } from './parts.ts'

/** Names that an instance believes, from somebody whom it must not believe. */
export const SPOOFED: readonly Case[] = [
  ...[
    ['X-Workspace-Id', BOBS_WORKSPACE],
    ['X-Workspace-Dir', '/etc'],
    ['X-Remote-User', 'user:bob'],
    ['X-Node-Daemon-Epoch', '9'],
    ['X-Node-Daemon-Service', 'other'],
    ['X-Forwarded-For', '6.6.6.6'],
    ['X-Forwarded-Host', 'other'],
    ['X-Forwarded-Proto', 'https'],
    ['X-Forwarded-Prefix', '/other'],
    ['Forwarded', 'for=6.6.6.6'],
    ['X-Real-IP', '6.6.6.6'],
    ['Remote-User', 'user:bob']
  ].flatMap(([name = '', value = '']): Case[] => [
    [`${name}`, get(`${name}: ${value}\r\n`)],
    [`${name} with _`, get(`${name.replaceAll('-', '_')}: ${value}\r\n`)],
    [`${name} with both`, get(`${name.replace('-', '_')}: ${value}\r\n`)],
    [`${name} in capitals`, get(`${name.toUpperCase()}: ${value}\r\n${name.toLowerCase()}: ${value}\r\n`)],
    [`${name} among what is for one hop`, get(`Connection: ${name}\r\n${name}: ${value}\r\n`)],
    [`${name} with a space`, get(`${name} : ${value}\r\n`)],
    [`${name} in another one's value`, get(`X-A: b\r${name}: ${value}\r\n`)]
  ]),
  [
    'Connection that takes away what we set',
    get('Connection: X-Workspace-Id, X-Remote-User, X-Forwarded-For, Host\r\n')
  ],
  ['Connection that takes the token away', get('Connection: Authorization, Cookie\r\n')],
  ['two tokens', get('Authorization: Bearer other\r\n')],
  [
    'a forged session',
    `GET /get HTTP/1.1\r\nHost: h\r\nCookie: nd_session=${'a'.repeat(32)}.abc.${'A'.repeat(43)}\r\n\r\n`
  ],
  ['a session that is no session', 'GET /get HTTP/1.1\r\nHost: h\r\nCookie: nd_session=user:bob\r\n\r\n'],
  ['a session of the console', 'GET /get HTTP/1.1\r\nHost: h\r\nCookie: nd_console=x; __Host-nd_session=y\r\n\r\n'],
  ['a change without anybody', 'DELETE /get HTTP/1.1\r\nHost: h\r\n\r\n'],
  ['a token that is none', 'GET /get HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer nobody\r\n\r\n'],
  ['a token of a length', `GET /get HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer ${'x'.repeat(5_000)}\r\n\r\n`],
  ['an expectation of something else', get('Expect: 200-ok\r\n', HIDDEN)],
  ['an expectation without a body', get('Expect: 100-continue\r\n', HIDDEN)],
  ['an expectation in HTTP/1.0', `POST /post HTTP/1.0\r\n${AUTH}Expect: 100-continue\r\nContent-Length: 3\r\n\r\nabc`],
  ['an expectation of two things', post('Expect: 100-continue, x\r\nContent-Length: 3\r\n', `abc${HIDDEN}`)]
]

/** More of something than anybody needs. */
export const OVERSIZE: readonly Case[] = [
  ['a target of 8 KiB and one', `GET /${'x'.repeat(8 * 1024)} HTTP/1.1\r\n${AUTH}\r\n`],
  ['a target of 100 KiB', `GET /${'x'.repeat(100 * 1024)} HTTP/1.1\r\n${AUTH}\r\n${HIDDEN}`],
  ['a method of 100 KiB', `${'X'.repeat(100 * 1024)} / HTTP/1.1\r\n${AUTH}\r\n`],
  ['a value of 17 KiB', get(`X: ${'x'.repeat(17 * 1024)}\r\n`, HIDDEN)],
  ['a name of 17 KiB', get(`${'x'.repeat(17 * 1024)}: y\r\n`, HIDDEN)],
  ['five thousand lines', get('X: y\r\n'.repeat(5_000), HIDDEN)],
  ['spaces without end', get(`X:${' '.repeat(20 * 1024)}y\r\n`, HIDDEN)],
  ['empty lines without end', '\r\n'.repeat(50_000) + get('')],
  ['a chunk size of 100 KiB', chunked(`${'0'.repeat(100 * 1024)}3\r\nabc\r\n${CHUNKED_END}`)],
  ['a chunk extension of 100 KiB', chunked(`3;${'x'.repeat(100 * 1024)}\r\nabc\r\n${CHUNKED_END}`)],
  ['chunk extensions of 100 KiB together', chunked(`1;${'x'.repeat(1000)}\r\na\r\n`.repeat(100) + CHUNKED_END)],
  ['trailers of 100 KiB', chunked(`3\r\nabc\r\n0\r\n${'X: y\r\n'.repeat(17_000)}\r\n`)],
  ['a length beyond all', post('Content-Length: 100000000001\r\n', 'abc')],
  ['fifteen digits of length', post('Content-Length: 999999999999999\r\n', 'abc')],
  ['a hundred requests at once', get('').repeat(100)],
  ['sixteen requests at once, with bodies', post('Content-Length: 3\r\n', 'abc').repeat(16)],
  ['ten thousand chunks of a byte', chunked('1\r\nx\r\n'.repeat(10_000) + CHUNKED_END)]
]

/** What breaks off. */
export const CUT: readonly Case[] = [
  ['nothing', ''],
  ['half a method', 'GE'],
  ['half a first line', 'GET /get HT'],
  ['half a line', `GET /get HTTP/1.1\r\n${AUTH}X: `],
  ['a head without its end', `GET /get HTTP/1.1\r\n${AUTH}`],
  ['a head without its last LF', `GET /get HTTP/1.1\r\n${AUTH}\r`],
  ['half a body', post('Content-Length: 10\r\n', 'abc')],
  ['half a large body', post('Content-Length: 2000000\r\n', 'abc'.repeat(1000))],
  ['half a chunk size', chunked('1')],
  ['half a chunk', chunked('5\r\nabc')],
  ['a chunk without the last one', chunked('3\r\nabc\r\n')],
  ['a last chunk without its end', chunked('3\r\nabc\r\n0\r\n')],
  ['half a trailer', chunked('3\r\nabc\r\n0\r\nX: y')],
  ['half a second request', `${get('')}GET /ne`]
]
