const CHARACTERS_MAX = 2000
/** Browsers take `//`, and `\` or control characters in its place, for the beginning of another address. */
const ELSEWHERE = /^\/[/\\]|[\\\s\p{Cc}]/u
const BASE = 'http://local.invalid'

/** Where a person goes on, as a request asks for it: a path of this address, else its root. Never another address. */
export function localPath(asked: string | null): string {
  if (asked === null || asked.length > CHARACTERS_MAX || !isLocal(asked) || !URL.canParse(asked, BASE)) return '/'
  const { origin, pathname, search } = new URL(asked, BASE)
  const path = pathname + search
  return origin === BASE && path.length <= CHARACTERS_MAX && isLocal(path) ? path : '/'
}

const isLocal = (path: string): boolean => path.startsWith('/') && !ELSEWHERE.test(path)
