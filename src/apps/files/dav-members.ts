import { drained } from './drained.ts'
import type { Exchange } from './exchange.ts'
import { childOf, type FilePath, hrefOf } from './path.ts'
import { Refusal } from './refusal.ts'
import { COMMON_HEADERS, type Reply } from './reply.ts'
import { type Entry, list, lookup } from './tree.ts'

/** @throws Refusal 507 for more entries than a listing may have */
export async function listAll({ context, limits }: Exchange, path: FilePath): Promise<readonly Entry[]> {
  const { entries, truncated } = await list(context, path, limits.listedEntriesMax)
  if (truncated) throw new Refusal(507, `a listing may have ${limits.listedEntriesMax} entries`)
  return entries
}

/** What is in a folder and is locked, or holds something that is: all that a lock on the folder can be in conflict with. */
export async function lockedBelow({ context, remembered }: Exchange, path: FilePath): Promise<readonly Entry[]> {
  const names = remembered.locks.below(path).map((locked) => locked.slice(path === '' ? 0 : path.length + 1))
  const children = new Set(names.map((name) => childOf(path, name.split('/', 1)[0] ?? '')))
  const found = await Promise.all([...children].map((child) => lookup(context, child)))
  return found.filter((entry) => entry.kind !== 'absent')
}

const END = '</multistatus>'
/** nephele writes an answer in one go, during which nothing else runs: some 20 ms for so many. */
export const ENTRIES_AT_ONCE = 100

/** Sends a long listing in parts, each found when the one before it is on its way. */
export async function streamParts(
  exchange: Exchange,
  first: Reply,
  rest: readonly Entry[],
  find: (part: readonly Entry[]) => Promise<Reply>
): Promise<void> {
  const { response, context } = exchange
  response.writeHead(first.status, { ...COMMON_HEADERS, ...first.headers })
  let text = textOf(first)
  response.write(text.slice(0, text.lastIndexOf(END)))
  for (let start = 0; start < rest.length && !response.destroyed; start += ENTRIES_AT_ONCE) {
    await new Promise((resolve) => setImmediate(resolve))
    const part = rest.slice(start, start + ENTRIES_AT_ONCE)
    text = textOf(await find(part))
    if (!response.write(text.slice(startOf(text, context.base, part), text.lastIndexOf(END)))) await drained(response)
  }
  response.end(END)
}

const textOf = (reply: Reply): string => {
  if (reply.status !== 207) throw new Refusal(503, 'the folder was changed meanwhile; try again')
  return String(reply.body)
}

/** Where the answer about the first entry of a part begins: before it stands the folder itself, once more. */
function startOf(text: string, base: string, [first]: readonly Entry[]): number {
  const href = first === undefined ? '' : hrefOf(base, first.path, first.kind === 'folder')
  const at = text.indexOf(`<href>${href}</href>`)
  if (at < 0) throw new Refusal(500, 'a listing came out incomplete')
  return text.lastIndexOf('<response>', at)
}
