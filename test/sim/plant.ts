import { registerHooks } from 'node:module'
import type { Bug, Edit } from './bug.ts'

/** Has the production's code loaded with one mistake in it, in this process from now on. */
export function plant({ name, edits }: Bug): void {
  registerHooks({
    load(url, context, nextLoad) {
      const loaded = nextLoad(url, context)
      const here = edits.filter(({ file }) => url.endsWith(`/src/${file}`))
      if (here.length === 0) return loaded
      const source = Buffer.from(loaded.source as Uint8Array).toString()
      return { ...loaded, source: here.reduce((text, edit) => withMistake(name, text, edit), source) }
    }
  })
}

/** @throws where what is to be changed does not stand there exactly once: a bug that is not planted cannot be caught */
export function withMistake(name: string, source: string, { file, find, put }: Edit): string {
  const [before, after, ...more] = source.split(find)
  if (before === undefined || after === undefined || more.length > 0) {
    throw new Error(`the bug "${name}" does not fit ${file} any more: look for\n${find}`)
  }
  return before + put + after
}
