import type { Exchange } from './exchange.ts'
import { renderPage } from './page.ts'
import { nameOf } from './path.ts'
import type { Reply } from './reply.ts'
import { type Entry, list } from './tree.ts'

/** A folder for people, or as JSON where that is what the client asks for. */
export async function listFolder(exchange: Exchange, folder: Entry): Promise<Reply> {
  const { context, limits, request } = exchange
  const json = wantsJson(request.headers.accept)
  const listing = await list(context, folder.path, json ? limits.listedEntriesMax : limits.shownEntriesMax)
  const headers = { Vary: 'Accept', 'X-Frame-Options': 'DENY' }
  if (!json) {
    const page = renderPage(context, folder.path, listing)
    return { status: 200, headers: { ...headers, ...page.headers }, body: page.html }
  }
  const body = {
    path: folder.path,
    servedBy: context.served,
    truncated: listing.truncated,
    entries: listing.entries.map((entry) => ({
      name: nameOf(entry.path),
      type: entry.kind,
      sizeBytes: entry.kind === 'file' ? entry.sizeBytes : null,
      modifiedAt: new Date(entry.modifiedMs).toISOString()
    }))
  }
  return { status: 200, headers: { ...headers, 'Content-Type': 'application/json' }, body: JSON.stringify(body) }
}

const wantsJson = (accept = ''): boolean => accept.includes('application/json') && !accept.includes('text/html')
