import type { OwnPages, OwnRequest } from '../neighbours.ts'
import { answer } from '../pages.ts'
import { NOTHING_HERE } from '../refusals.ts'

/** @throws NodeDaemonError answered with the status of its code, while no answer has begun */
export type OwnPage = (asked: OwnRequest) => Promise<void>

/**
 * The front door's own pages, by what follows `/.well-known/node-daemon/`. A path that ends in `/` stands for all below
 * it that has no page of its own.
 */
export function ownPages(table: Readonly<Record<string, OwnPage>>): OwnPages {
  const pages = new Map(Object.entries(table))
  const find = (path: string): OwnPage | undefined => {
    const page = pages.get(path)
    const parent = path.lastIndexOf('/', path.length - 2)
    return page !== undefined || parent === -1 ? page : find(path.slice(0, parent + 1))
  }
  return {
    async answer(asked) {
      const page = find(asked.path)
      if (page === undefined) answer(asked.response, NOTHING_HERE)
      else await page(asked)
    }
  }
}
