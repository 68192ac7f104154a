import { ALICES_TOKEN, AUTH, type Case, get, HIDDEN } from './parts.ts'

const byteName = (byte: number): string => `0x${byte.toString(16).padStart(2, '0')}`

/** Bytes where none of their kind may stand. */
export const BYTES: readonly Case[] = [
  ...[0, 1, 8, 9, 0x0a, 0x0b, 0x0c, 0x0d, 0x1f, 0x20, 0x7f, 0x80, 0xff].flatMap((byte): Case[] => [
    [`${byteName(byte)} in the target`, `GET /a${String.fromCharCode(byte)}b HTTP/1.1\r\n${AUTH}\r\n${HIDDEN}`],
    [`${byteName(byte)} in a value`, get(`X: a${String.fromCharCode(byte)}b\r\n`, HIDDEN)],
    [`${byteName(byte)} in the method`, `GE${String.fromCharCode(byte)}T /get HTTP/1.1\r\n${AUTH}\r\n${HIDDEN}`],
    [
      `${byteName(byte)} in the Host`,
      `GET /get HTTP/1.1\r\n${AUTH.replace('Host: h', `Host: h${String.fromCharCode(byte)}h`)}\r\n${HIDDEN}`
    ]
  ]),
  ...[...'\x00\x01\t\n\r \x7f\x80"(),/:;<=>?@[\\]{}'].map(
    (char): Case => [`${JSON.stringify(char)} in a name`, get(`X${char}Y: z\r\n`, HIDDEN)]
  ),
  ['a name that is empty', get(': y\r\n', HIDDEN)],
  ['a line without a colon', get('nothing\r\n', HIDDEN)],
  ['a folded value', get('X: y\r\n z\r\n', HIDDEN)],
  ['a first line that is folded', `GET /get HTTP/1.1\r\n X: y\r\n${AUTH}\r\n${HIDDEN}`],
  ['lines that end in LF', get('X: y\r\n', HIDDEN).replaceAll('\r\n', '\n')],
  ['lines that end in CR', get('X: y\r\n', HIDDEN).replaceAll('\r\n', '\r')],
  ['lines that end in LF CR', get('X: y\r\n', HIDDEN).replaceAll('\r\n', '\n\r')],
  ['a head that ends in LF LF', `GET /get HTTP/1.1\r\n${AUTH}X: y\n\n${HIDDEN}`],
  ['a head that ends in CR CR', `GET /get HTTP/1.1\r\n${AUTH}X: y\r\r${HIDDEN}`],
  ['empty lines first', `\r\n\r\n${get('', HIDDEN)}`],
  ['an empty line in LF first', `\n${get('', HIDDEN)}`],
  ['two spaces in the first line', `GET  /get HTTP/1.1\r\n${AUTH}\r\n`],
  ['a tab in the first line', `GET\t/get HTTP/1.1\r\n${AUTH}\r\n`],
  ['a space before the method', ` GET /get HTTP/1.1\r\n${AUTH}\r\n`],
  ['a space after the version', `GET /get HTTP/1.1 \r\n${AUTH}\r\n`],
  ['no version', `GET /get\r\n${AUTH}\r\n${HIDDEN}`],
  ...['0.9', '1.2', '1.10', '2.0', '3', '01.1', '1,1', '-1.1', 'x'].map(
    (version): Case => [`the version ${version}`, `GET /get HTTP/${version}\r\n${AUTH}\r\n${HIDDEN}`]
  ),
  ...['http/1.1', 'HTTPS/1.1', 'RTSP/1.0', 'ICE/1.0', 'HTTP /1.1', 'HTTP'].map(
    (protocol): Case => [`the protocol ${protocol}`, `GET /get ${protocol}\r\n${AUTH}\r\n${HIDDEN}`]
  ),
  ['a source of Icecast', `SOURCE /get ICE/1.0\r\n${AUTH}\r\n`],
  ['the preface of HTTP/2', `PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n${HIDDEN}`],
  ['a hello of TLS', '\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03'],
  ['a greeting of SSH', 'SSH-2.0-x\r\n'],
  ['the line of the PROXY protocol', `PROXY TCP4 6.6.6.6 6.6.6.6 1 1\r\n${get('', HIDDEN)}`],
  ['the bytes of the PROXY protocol', `\r\n\r\n\x00\r\nQUIT\n\x21\x11\x00\x0c${get('', HIDDEN)}`],
  ['only NUL', '\x00'.repeat(64)]
]

/** Who is asked, and for what. */
export const TARGETS: readonly Case[] = [
  ...[
    'get',
    '',
    '*',
    '?x',
    '#x',
    '/a#b',
    'h:80',
    'http://other/get',
    'http://h@other/get',
    'http://other@h/get',
    'http://h:80@other/get',
    'http://h\\@other/get',
    'http:///get',
    'http:/get',
    'file:///etc/passwd',
    'ws://h/get',
    '//other/get',
    '/\\other/get',
    '\\get',
    '/../../get',
    '/%2e%2e/%00',
    '/%',
    'http://h/fine?x',
    'HTTP://H'
  ].map((target): Case => [`the target ${JSON.stringify(target)}`, `GET ${target} HTTP/1.1\r\n${AUTH}\r\n${HIDDEN}`]),
  ['a CONNECT', `CONNECT h:80 HTTP/1.1\r\n${AUTH}\r\n${HIDDEN}`],
  ['a CONNECT to a path', `CONNECT /get HTTP/1.1\r\n${AUTH}\r\n${HIDDEN}`],
  ['OPTIONS of all', `OPTIONS * HTTP/1.1\r\n${AUTH}\r\n`],
  ['a TRACE', `TRACE /get HTTP/1.1\r\n${AUTH}\r\n`],
  ...['get', 'FOO', 'GETX', 'G', 'GET/', 'X'.repeat(300)].map(
    (method): Case => [`the method ${method.slice(0, 10)}`, `${method} /get HTTP/1.1\r\n${AUTH}\r\n${HIDDEN}`]
  ),
  ['no Host', `GET /get HTTP/1.1\r\nAuthorization: Bearer ${ALICES_TOKEN}\r\n\r\n${HIDDEN}`],
  ['no Host in HTTP/1.0', `GET /get HTTP/1.0\r\nAuthorization: Bearer ${ALICES_TOKEN}\r\n\r\n`],
  ['two Hosts', get('Host: other\r\n', HIDDEN)],
  ['the same Host twice', get('Host: h\r\n', HIDDEN)],
  ['a Host with a space before the colon', get('Host : other\r\n', HIDDEN)],
  ...['', 'a/b', 'a@b', 'a,b', 'a b', 'a?b', 'a#b', '<x>', 'a\\b', '"a"', 'h:80:80', 'x'.repeat(300)].map(
    (host): Case => [
      `the Host ${JSON.stringify(host.slice(0, 10))}`,
      `GET /get HTTP/1.1\r\nHost: ${host}\r\nAuthorization: Bearer ${ALICES_TOKEN}\r\n\r\n${HIDDEN}`
    ]
  )
]
