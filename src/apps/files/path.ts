import { isUtf8 } from 'node:buffer'
import { fits, PATH_LIMITS } from '../../worktree/paths.ts'
import { Refusal } from './refusal.ts'

/** A path in a workspace: names joined by `/`, `''` for the workspace itself. Holds no `.`, `..`, NUL or empty name. */
export type FilePath = string

export interface Target {
  readonly path: FilePath
  /** The path was written with a slash at its end, as folders are. */
  readonly slash: boolean
}

/** A name on the file systems that we know: 1 to 255 bytes. */
export const NAME_BYTES_MAX = 255

const ABSOLUTE_FORM = /^https?:\/\/[^/?#]*/i
const ESCAPE = /^[0-9a-f]{2}$/i

/**
 * The path that a request target (or the value of a Destination or If header) names, decoded once.
 *
 * @param base the prefix under which the app is mounted; what lies outside it is not found
 * @throws Refusal 400 for what cannot be a name, 404 outside the base, 414 for a path that is too long
 */
export function parseTarget(target: string, base: string): Target {
  if (target.includes('#')) throw new Refusal(400, 'a path must not hold a "#"; write it as %23')
  const whole = target.replace(ABSOLUTE_FORM, '').split('?', 1)[0] ?? ''
  if (whole !== base && !whole.startsWith(`${base}/`)) throw new Refusal(404, 'there is nothing outside the files')
  const rest = whole.slice(base.length + 1)
  if (rest === '') return { path: '', slash: true }
  const slash = rest.endsWith('/')
  const path = (slash ? rest.slice(0, -1) : rest).split('/').map(decodeName).join('/')
  if (!fits(path)) throw tooLong()
  return { path, slash }
}

export const tooLong = (): Refusal =>
  new Refusal(414, `a path may have ${PATH_LIMITS.bytes} bytes and ${PATH_LIMITS.names} names`)

function decodeName(raw: string): string {
  const bytes = decodePercent(raw)
  if (!isUtf8(bytes)) throw new Refusal(400, 'a name must be UTF-8')
  const name = bytes.toString('utf8')
  if (name === '') throw new Refusal(400, 'a path must not hold an empty name')
  if (name === '.' || name === '..') throw new Refusal(400, 'a path must not hold "." or ".."')
  if (name.includes('\0')) throw new Refusal(400, 'a name must not hold a NUL')
  if (name.includes('/')) throw new Refusal(400, 'a name must not hold a slash')
  if (bytes.length > NAME_BYTES_MAX) throw new Refusal(400, `a name may have ${NAME_BYTES_MAX} bytes`)
  return name
}

function decodePercent(raw: string): Buffer {
  const [first = '', ...escaped] = raw.split('%')
  const parts = escaped.map((part) => {
    const digits = part.slice(0, 2)
    if (!ESCAPE.test(digits)) throw new Refusal(400, 'a "%" must be followed by two hexadecimal digits')
    return Buffer.concat([Buffer.from(digits, 'hex'), Buffer.from(part.slice(2), 'latin1')])
  })
  return Buffer.concat([Buffer.from(first, 'latin1'), ...parts])
}

export const encodePath = (path: FilePath): string => path.split('/').map(encodeURIComponent).join('/')

/** How clients address it: encoded, with the base, and with a slash at the end of folders. */
export function hrefOf(base: string, path: FilePath, folder: boolean): string {
  if (path === '') return `${base}/`
  return `${base}/${encodePath(path)}${folder ? '/' : ''}`
}

export const nameOf = (path: FilePath): string => path.slice(path.lastIndexOf('/') + 1)
export const parentOf = (path: FilePath): FilePath => path.slice(0, Math.max(0, path.lastIndexOf('/')))
export const childOf = (path: FilePath, name: string): FilePath => (path === '' ? name : `${path}/${name}`)
/** Is `path` below `folder`? Not for the folder itself. */
export const isBelow = (path: FilePath, folder: FilePath): boolean =>
  folder === '' ? path !== '' : path.startsWith(`${folder}/`)

/** The folders above a path, nearest first, the workspace itself last. */
export function ancestorsOf(path: FilePath): FilePath[] {
  const ancestors: FilePath[] = []
  for (let at = path; at !== ''; ) {
    at = parentOf(at)
    ancestors.push(at)
  }
  return ancestors
}
