import { AUTH, BOBS_WORKSPACE, type Case, CHUNKED_BODY, CHUNKED_END, chunked, get, HIDDEN, post } from './parts.ts'

/** How a body's end is said, wrongly or in two ways. */
export const FRAMING: readonly Case[] = [
  ...[
    'Content-Length: 5\r\nTransfer-Encoding: chunked',
    'Transfer-Encoding: chunked\r\nContent-Length: 5',
    'Content-Length: 0\r\nTransfer-Encoding: chunked',
    'Transfer-Encoding: chunked\r\nContent-length : 5',
    'transfer-encoding: Chunked\r\ncontent-length: 5'
  ].map((lines): Case => [`length beside encoding: ${lines}`, post(`${lines}\r\n`, `${CHUNKED_END}${HIDDEN}`)]),
  ...[
    'xchunked',
    'chunkedx',
    'chunke',
    'identity',
    'chunked, identity',
    'identity, chunked',
    'gzip, chunked',
    'chunked, chunked',
    'chunked;q=1',
    '"chunked"',
    'chunked,',
    ',chunked',
    'chunked\t,',
    '\x0bchunked',
    '\x0cchunked',
    'chunked\x0b',
    '\x00chunked',
    'chunked\x00',
    'chun\x00ked',
    '\xa0chunked',
    'chunked\xff',
    'ch\x0aunked',
    ''
  ].map(
    (value): Case => [
      `the encoding ${JSON.stringify(value)}`,
      post(`Transfer-Encoding: ${value}\r\n`, `${CHUNKED_BODY}${HIDDEN}`)
    ]
  ),
  ...[
    'Transfer-Encoding : chunked',
    'Transfer-Encoding\t: chunked',
    'Transfer-Encoding\x00: chunked',
    'Transfer-Encoding\x0b: chunked',
    ' Transfer-Encoding: chunked',
    '\tTransfer-Encoding: chunked',
    'X: y\nTransfer-Encoding: chunked',
    'X: y\rTransfer-Encoding: chunked',
    'X: y\r\n Transfer-Encoding: chunked',
    'Transfer-Encoding:\r\n chunked',
    'Transfer-Encoding:\n chunked',
    'Transfer_Encoding: chunked',
    'Transfer-Encoding: chunked\r\nTransfer-Encoding: identity',
    'Transfer-Encoding: identity\r\nTransfer-Encoding: chunked',
    'Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked',
    'TRANSFER-ENCODING: CHUNKED\r\nTransfer-Encoding: x',
    'Transfer-Encodin\xe7: chunked',
    'Connection: Transfer-Encoding\r\nTransfer-Encoding: chunked'
  ].map((lines): Case => [`an encoding as ${JSON.stringify(lines)}`, post(`${lines}\r\n`, `${CHUNKED_BODY}${HIDDEN}`)]),
  ...[
    '+5',
    '-5',
    '5 5',
    '5,5',
    '5, 5',
    '5;x',
    '0x5',
    '5.0',
    '5e0',
    '\xd9\xa5',
    '"5"',
    '',
    ' ',
    '\x0b5',
    '5\x00',
    '\x005',
    '1_0',
    '00000000000000005',
    '99999999999999999999',
    '18446744073709551616',
    '18446744073709551621',
    '9007199254740993',
    '-1',
    'NaN'
  ].map(
    (value): Case => [`the length ${JSON.stringify(value)}`, post(`Content-Length: ${value}\r\n`, `abcde${HIDDEN}`)]
  ),
  ...[
    'Content-Length: 5\r\nContent-Length: 5',
    'Content-Length: 5\r\nContent-Length: 6',
    'Content-Length: 0\r\nContent-Length: 5',
    'Content-Length: 5\r\ncontent-length: 0',
    'Content-Length : 5',
    'Content-Length\t: 5',
    ' Content-Length: 5',
    'Content-Length:\r\n 5',
    'Content_Length: 5',
    'X: y\nContent-Length: 5',
    'X: y\rContent-Length: 5',
    'Content-Length: 5\nX: y',
    'Connection: Content-Length\r\nContent-Length: 5'
  ].map((lines): Case => [`a length as ${JSON.stringify(lines)}`, post(`${lines}\r\n`, `abcde${HIDDEN}`)]),
  ['a body of a GET', get('Content-Length: 5\r\n', `abcde${HIDDEN}`)],
  ['a chunked body of a GET', get('Transfer-Encoding: chunked\r\n', `${CHUNKED_BODY}${HIDDEN}`)],
  ['a body that is a request, with its length', post(`Content-Length: ${HIDDEN.length}\r\n`, HIDDEN)],
  ['a body that is a request, without a length', post('', HIDDEN)],
  [
    'an encoding in HTTP/1.0',
    `POST /post HTTP/1.0\r\n${AUTH}Transfer-Encoding: chunked\r\n\r\n${CHUNKED_BODY}${HIDDEN}`
  ],
  [
    'an encoding and a length in HTTP/1.0',
    `POST /post HTTP/1.0\r\n${AUTH}Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n${CHUNKED_BODY}${HIDDEN}`
  ],
  [
    'an upgrade with a body',
    `POST /post HTTP/1.1\r\n${AUTH}Connection: upgrade\r\nUpgrade: websocket\r\nContent-Length: 5\r\n\r\nabcde${HIDDEN}`
  ],
  [
    'an upgrade with a chunked body',
    `POST /post HTTP/1.1\r\n${AUTH}Connection: upgrade\r\nUpgrade: websocket\r\nTransfer-Encoding: chunked\r\n\r\n${CHUNKED_BODY}${HIDDEN}`
  ],
  [
    'an upgrade that nobody agrees to, and a request behind it',
    get('Connection: upgrade\r\nUpgrade: websocket\r\n', HIDDEN)
  ],
  [
    'an upgrade of another version of WebSocket, and a request behind it',
    get('Connection: upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 777\r\n', HIDDEN)
  ],
  ['an upgrade to h2c, and a request behind it', get('Connection: upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n', HIDDEN)]
]

/** Chunks that are none, or are longer or shorter than they say. */
export const CHUNKS: readonly Case[] = [
  ...[
    'zz',
    '-3',
    '+3',
    '0x3',
    '3 ',
    ' 3',
    '\t3',
    '3\x00',
    '3\x0b',
    '',
    '3 3',
    '3,3',
    'ffffffffffffffff',
    '10000000000000003',
    '7fffffffffffffff',
    '\xd9\xa3'
  ].map(
    (size): Case => [`the chunk size ${JSON.stringify(size)}`, chunked(`${size}\r\nabc\r\n${CHUNKED_END}${HIDDEN}`)]
  ),
  ...[';', ';;', ';a=', ';a="', ';a="b', ';a=b c', ';\x00', ';a=\x01', ';a\n', ';a=b\r', '; a=b;\tc="d"', ';a'].map(
    (extension): Case => [
      `the chunk extension ${JSON.stringify(extension)}`,
      chunked(`3${extension}\r\nabc\r\n${CHUNKED_END}${HIDDEN}`)
    ]
  ),
  ['a size line that ends in LF', chunked(`3\nabc\r\n${CHUNKED_END}${HIDDEN}`)],
  ['a size line that ends in CR', chunked(`3\rabc\r\n${CHUNKED_END}${HIDDEN}`)],
  ['a chunk that ends in LF', chunked(`3\r\nabc\n${CHUNKED_END}${HIDDEN}`)],
  ['a chunk that ends in CR', chunked(`3\r\nabc\r${CHUNKED_END}${HIDDEN}`)],
  ['a chunk without an end', chunked(`3\r\nabc${CHUNKED_END}${HIDDEN}`)],
  ['a chunk that is longer than it says', chunked(`3\r\nabcd\r\n${CHUNKED_END}${HIDDEN}`)],
  ['a chunk that is shorter than it says', chunked(`6\r\nabc\r\n${CHUNKED_END}${HIDDEN}`)],
  ['a last chunk that ends in LF', chunked(`3\r\nabc\r\n0\n\n${HIDDEN}`)],
  ['a last chunk with a LF after it', chunked(`3\r\nabc\r\n0\r\n\n${HIDDEN}`)],
  ['a last chunk with bytes', chunked(`3\r\nabc\r\n0\r\nx${HIDDEN}`)],
  ['many leading zeros', chunked(`00000000000000000003\r\nabc\r\n${CHUNKED_END}`)],
  ['a last chunk of many zeros', chunked(`3\r\nabc\r\n0000\r\n\r\n`)],
  ...[
    'Content-Length: 5',
    'Transfer-Encoding: chunked',
    'Host: other',
    `X-Workspace-Id: ${BOBS_WORKSPACE}`,
    'X-Remote-User: user:bob',
    'X_Remote_User: user:bob',
    'X-Forwarded-For: 6.6.6.6',
    'Authorization: Bearer other',
    'Cookie: nd_session=x',
    'X: y\r\n z',
    'X : y',
    ' X: y',
    'X: y\nZ: z',
    'X\x00: y',
    'X: \x00',
    'X-Fine: yes'
  ].map((line): Case => [`the trailer ${JSON.stringify(line)}`, chunked(`3\r\nabc\r\n0\r\n${line}\r\n\r\n${HIDDEN}`)])
]
