/** The marks that stand in the cases for what only a test knows. */
export const ALICES_TOKEN = '«alice»'
export const BOBS_WORKSPACE = '«bobs»'

export type Case = readonly [name: string, bytes: string]

export const AUTH = `Host: h\r\nAuthorization: Bearer ${ALICES_TOKEN}\r\n`
/** A request that nobody sent, if the one before it is read as it should be. */
export const HIDDEN = `GET /hidden HTTP/1.1\r\nHost: h\r\nX-Workspace-Id: ${BOBS_WORKSPACE}\r\n\r\n`
export const CHUNKED_END = '0\r\n\r\n'
export const CHUNKED_BODY = `3\r\nabc\r\n${CHUNKED_END}`

export const get = (more: string, end = ''): string => `GET /get HTTP/1.1\r\n${AUTH}${more}\r\n${end}`
export const post = (more: string, body: string): string => `POST /post HTTP/1.1\r\n${AUTH}${more}\r\n${body}`
export const chunked = (body: string): string => post('Transfer-Encoding: chunked\r\n', body)
