import { registerHooks } from 'node:module'
import type { Bug } from './bugs.ts'

/** Has the production's code loaded with one mistake in it, in this process from now on. */
export function plant({ name, file, find, put }: Bug): void {
  registerHooks({
    load(url, context, nextLoad) {
      const loaded = nextLoad(url, context)
      if (!url.endsWith(`/src/${file}`)) return loaded
      const source = Buffer.from(loaded.source as Uint8Array).toString()
      return { ...loaded, source: withMistake(name, source, find, put) }
    }
  })
}

/** @throws where what is to be changed does not stand there exactly once: a bug that is not planted cannot be caught */
export function withMistake(name: string, source: string, find: string, put: string): string {
  const [before, after, ...more] = source.split(find)
  if (before === undefined || after === undefined || more.length > 0) {
    throw new Error(`the bug "${name}" does not fit the code any more: look for\n${find}`)
  }
  return before + put + after
}
