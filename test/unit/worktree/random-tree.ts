import type { Stats } from 'node:fs'
import { chmod, lstat, lutimes, mkdir, rename, rm, symlink, utimes, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import fc from 'fast-check'

/** One change to a tree of few names, so that changes meet: a file becomes a folder, a folder a link. */
export type Edit =
  | { readonly kind: 'write'; readonly path: string; readonly size: number; readonly fill: number }
  | { readonly kind: 'folder'; readonly path: string }
  | { readonly kind: 'link'; readonly path: string; readonly target: string }
  | { readonly kind: 'remove'; readonly path: string }
  | { readonly kind: 'rename'; readonly path: string; readonly to: string }
  | { readonly kind: 'mode'; readonly path: string; readonly mode: number }
  | { readonly kind: 'time'; readonly path: string; readonly us: number }

const name = fc.constantFrom('a', 'b', '.c', 'two words', 'line\nbreak', 'ü')
const path = fc.array(name, { minLength: 1, maxLength: 3 }).map((names) => names.join('/'))

export const edits: fc.Arbitrary<Edit[]> = fc.array(
  fc.oneof(
    fc.record({ kind: fc.constant('write' as const), path, size: fc.nat(300_000), fill: fc.nat(255) }),
    fc.record({ kind: fc.constant('folder' as const), path }),
    fc.record({ kind: fc.constant('link' as const), path, target: fc.constantFrom('a', '../x', '/etc') }),
    fc.record({ kind: fc.constant('remove' as const), path }),
    fc.record({ kind: fc.constant('rename' as const), path, to: path }),
    fc.record({ kind: fc.constant('mode' as const), path, mode: fc.constantFrom(0o600, 0o755, 0o4711, 0o000) }),
    fc.record({ kind: fc.constant('time' as const), path, us: fc.integer({ min: -1e15, max: 4e15 }) })
  ),
  { maxLength: 12 }
)

/** Carries out what is possible of an edit, as an application would; returns the paths it touched. */
export async function carryOut(folder: string, edit: Edit): Promise<string[]> {
  const target = join(folder, edit.path)
  const stats = await lookAt(target)
  switch (edit.kind) {
    case 'write': {
      const cleared = await clear(folder, edit.path)
      await writeFile(target, Buffer.alloc(edit.size, edit.fill))
      return [cleared]
    }
    case 'folder': {
      const cleared = await clear(folder, edit.path)
      await mkdir(target)
      return [cleared]
    }
    case 'link': {
      const cleared = await clear(folder, edit.path)
      await symlink(edit.target, target)
      return [cleared]
    }
    case 'remove':
      if (stats !== null) await rm(target, { recursive: true })
      return [edit.path]
    case 'rename': {
      if (stats === null || overlap(edit.path, edit.to)) return []
      const cleared = await clear(folder, edit.to)
      await rename(target, join(folder, edit.to))
      return [edit.path, cleared]
    }
    case 'mode':
      if (stats === null || stats.isSymbolicLink()) return []
      await chmod(target, edit.mode)
      return [edit.path]
    case 'time': {
      if (stats === null) return []
      const text = String((edit.us + 0.5) / 1e6)
      await (stats.isSymbolicLink() ? lutimes : utimes)(target, text, text)
      return [edit.path]
    }
  }
}

const lookAt = (path: string): Promise<Stats | null> => lstat(path).catch(() => null)

/** Would making room for one of the paths remove the other? */
const overlap = (a: string, b: string): boolean => `${a}/`.startsWith(`${b}/`) || `${b}/`.startsWith(`${a}/`)

/** Makes room for a new entry: nothing at the path, real folders above it. Returns the uppermost path that changed. */
async function clear(folder: string, path: string): Promise<string> {
  const parts = path.split('/')
  for (let depth = 1; depth < parts.length; depth++) {
    const above = parts.slice(0, depth).join('/')
    if ((await lookAt(join(folder, above)))?.isDirectory()) continue
    await rm(join(folder, above), { force: true })
    await mkdir(join(folder, dirname(path)), { recursive: true })
    return above
  }
  await rm(join(folder, path), { recursive: true, force: true })
  return path
}
