import { execFileSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { appendFileSync, existsSync, readdirSync } from 'node:fs'
import { mkdir, rename, symlink, truncate, writeFile } from 'node:fs/promises'
import { platform } from 'node:os'
import { join } from 'node:path'
import { Worker } from 'node:worker_threads'
import { describe, expect, onTestFinished, test } from 'vitest'
import { chunks } from '../../../src/content/chunker.ts'
import { type Block, blockOf, matches, RAW_CODEC } from '../../../src/core/blocks.ts'
import { codeOf } from '../../../src/core/errors.ts'
import { silent } from '../../../src/core/log.ts'
import { inlineReader } from '../../../src/worktree/inline-reader.ts'
import type { FileRead, FileReader } from '../../../src/worktree/reader.ts'
import { startReaderThread } from '../../../src/worktree/reader-worker.ts'
import { workerReader } from '../../../src/worktree/worker-reader.ts'
import { fill, temporaryFolder } from './support.ts'

const MIB = 1024 * 1024
const SCAN = { prompt: false }
const PROMPT = { prompt: true }

/** Bytes without a pattern, the same each time. */
const noise = (size: number, seed = 'noise'): Buffer =>
  createHash('shake256', { outputLength: size }).update(seed).digest()

function opened(make: () => FileReader): FileReader {
  const reader = make()
  onTestFinished(() => reader.close())
  return reader
}

interface Whole {
  readonly read: FileRead | null
  readonly leaves: readonly Block[]
}

async function wholeFile(reader: FileReader, folder: string, name: string, sizeHint = 0): Promise<Whole> {
  const leaves: Block[] = []
  const request = { folder, path: join(folder, name), sizeHint }
  const read = await reader.read(request, async (more) => void leaves.push(...more), SCAN)
  return { read, leaves }
}

async function cidsOf(content: Uint8Array): Promise<string[]> {
  const source = async function* (): AsyncGenerator<Uint8Array> {
    yield content
  }
  const cids = []
  for await (const chunk of chunks(source())) cids.push(blockOf(RAW_CODEC, chunk).cid.toString())
  return cids
}

const MAKERS = [
  ['inline', inlineReader],
  ['in threads', () => workerReader({ log: silent })]
] as const

describe.each(MAKERS)('a reader %s', (_name, make) => {
  test.each([0, 1, 65_536, 300_000, MIB, 7 * MIB + 13])('gives a file of %i bytes as its chunks', async (size) => {
    const folder = await temporaryFolder()
    const content = noise(size)
    await writeFile(join(folder, 'file'), content)
    for (const hint of [0, size]) {
      const { read, leaves } = await wholeFile(opened(make), folder, 'file', hint)
      expect(read).toMatchObject({ size, steady: true, fingerprint: { size } })
      expect(leaves.map(({ cid }) => cid.toString())).toEqual(await cidsOf(content))
      expect(leaves.every(matches)).toBe(true)
    }
  })

  test('reads hundreds of files of all sizes at once', async () => {
    const folder = await temporaryFolder()
    const names = Array.from({ length: 300 }, (_, file) => `${file}`)
    const contentOf = (name: string): Buffer => noise((Number(name) * 7919) % 40_000, name)
    for (const name of names) await writeFile(join(folder, name), contentOf(name))
    const reader = opened(make)
    await Promise.all(
      names.map(async (name) => {
        const content = contentOf(name)
        const { read, leaves } = await wholeFile(reader, folder, name, content.length)
        expect(read?.size).toBe(content.length)
        expect(Buffer.concat(leaves.map(({ bytes }) => bytes)).equals(content)).toBe(true)
      })
    )
  })

  test('reads nothing but regular files inside the folder', async () => {
    const [folder, outside] = [await temporaryFolder(), await temporaryFolder()]
    await writeFile(join(outside, 'secret'), 'secret')
    await mkdir(join(folder, 'd'))
    await symlink(join(outside, 'secret'), join(folder, 'link'))
    await symlink(outside, join(folder, 'way-out'))
    execFileSync('mkfifo', [join(folder, 'pipe')])
    const reader = opened(make)
    for (const name of ['missing', 'd', 'pipe', 'way-out/secret']) {
      expect(await wholeFile(reader, folder, name), name).toEqual({ read: null, leaves: [] })
    }
    await expect(wholeFile(reader, folder, 'link')).rejects.toMatchObject({ code: 'ELOOP' })
    await expect(wholeFile(reader, folder, 'x'.repeat(300))).rejects.toMatchObject({ code: 'ENAMETOOLONG' })
  })

  test('says when a file changed while it was read', async () => {
    const folder = await temporaryFolder()
    const path = join(folder, 'file')
    const reader = opened(make)
    const changedBy = async (change: () => void | Promise<void>): Promise<FileRead | null> => {
      await writeFile(path, noise(8 * MIB))
      let calls = 0
      const take = async (): Promise<void> => {
        if (calls++ === 0) await change()
      }
      return reader.read({ folder, path, sizeHint: 8 * MIB }, take, SCAN)
    }
    expect(await changedBy(() => undefined)).toMatchObject({ steady: true })
    expect(await changedBy(() => appendFileSync(path, 'more'))).toMatchObject({ steady: false, size: 8 * MIB })
    expect(await changedBy(() => truncate(path, 4 * MIB))).toMatchObject({ steady: false, size: 4 * MIB })
    expect(await changedBy(() => rename(path, `${path}.old`))).toMatchObject({ steady: false, size: 8 * MIB })
  })

  test('lists names, kinds and what cannot be named', async () => {
    const folder = await temporaryFolder()
    await fill({ folder }, { file: 'x', 'd/below': 'y', 'ü\ufffd': '' })
    await symlink('file', join(folder, 'link'))
    execFileSync('mkfifo', [join(folder, 'pipe')])
    await writeFile(Buffer.concat([Buffer.from(`${folder}/f`), Buffer.from([0xff])]), 'x')
    const reader = opened(make)
    const listing = await reader.list(folder, SCAN)
    const kinds = Object.fromEntries(listing?.names.map((name, at) => [name, listing.facts.kind(at)]) ?? [])
    expect(kinds).toEqual({ file: 'file', d: 'folder', 'ü\ufffd': 'file', link: 'link', pipe: 'other' })
    expect(listing?.unnamed).toEqual(['f\ufffd'])
    expect(await reader.list(join(folder, 'missing'), SCAN)).toBeNull()
    expect(await reader.list(join(folder, 'file'), SCAN)).toBeNull()
  })

  test('begins with the folder behind a link, and looks at paths in it', async () => {
    const base = await temporaryFolder()
    await fill({ folder: base }, { 'files/a/b': '12345', stamp: '' })
    await symlink('files', join(base, 'link'))
    const request = { folder: join(base, 'link'), stamp: join(base, 'stamp'), paths: ['', 'a', 'a/b', 'a/c', 'a/b/c'] }
    const begun = await opened(make).begin(request, PROMPT)
    expect(begun.folder).toBe(join(base, 'files'))
    expect(request.paths.map((_, at) => begun.facts.kind(at))).toEqual(['folder', 'folder', 'file', 'gone', 'gone'])
    expect(begun.facts.get(2).fingerprint.size).toBe(5)
    const none = { folder: join(base, 'none'), stamp: join(base, 'none'), paths: [] }
    expect(await opened(make).begin(none, PROMPT)).toMatchObject({ folder: null, begunNs: null })
  })

  test('what the taker throws comes through, and the reader goes on', async () => {
    const folder = await temporaryFolder()
    await writeFile(join(folder, 'large'), noise(8 * MIB))
    await writeFile(join(folder, 'small'), 'small')
    const reader = opened(make)
    for (const [name, sizeHint] of [
      ['large', 8 * MIB],
      ['small', 5]
    ] as const) {
      const take = (): Promise<void> => Promise.reject(new Error('no room'))
      await expect(reader.read({ folder, path: join(folder, name), sizeHint }, take, SCAN)).rejects.toThrow('no room')
    }
    expect((await wholeFile(reader, folder, 'large', 8 * MIB)).read?.size).toBe(8 * MIB)
  })

  test('gives up by the signal, and goes on with others', async () => {
    const folder = await temporaryFolder()
    const path = join(folder, 'large')
    await writeFile(path, noise(8 * MIB))
    const reader = opened(make)
    for (let round = 0; round < 6; round++) {
      const ended = new AbortController()
      const take = async (): Promise<void> => ended.abort()
      const request = { folder, path, sizeHint: 8 * MIB }
      await expect(reader.read(request, take, { ...SCAN, signal: ended.signal })).rejects.toMatchObject({
        code: 'ABORTED'
      })
    }
    const signal = AbortSignal.abort()
    await expect(reader.list(folder, { ...SCAN, signal })).rejects.toMatchObject({ code: 'ABORTED' })
    expect((await wholeFile(reader, folder, 'large', 8 * MIB)).read?.size).toBe(8 * MIB)
  })
})

describe('reading threads', () => {
  const threads = (): FileReader => opened(() => workerReader({ log: silent }))

  /** Asks for the two files so many times, and takes nothing. Counts the takers that were called. */
  function slowTakers(
    reader: FileReader,
    folder: string,
    files: { readonly large: number; readonly little: number },
    prompt: boolean
  ): { large: number; little: number } {
    const begun = { large: 0, little: 0 }
    const ended = new AbortController()
    onTestFinished(() => ended.abort())
    for (const [name, sizeHint] of [
      ['large', MIB],
      ['little', 1]
    ] as const) {
      const take = (): Promise<void> => {
        begun[name]++
        return new Promise(() => undefined)
      }
      for (let file = 0; file < files[name]; file++) {
        const request = { folder, path: join(folder, name), sizeHint }
        reader.read(request, take, { prompt, signal: ended.signal }).catch(() => undefined)
      }
    }
    return begun
  }

  test('a file that nobody takes keeps no other waiting, and is read no further', async () => {
    const folder = await temporaryFolder()
    const path = join(folder, 'large')
    await writeFile(path, noise(16 * MIB))
    await writeFile(join(folder, 'other'), noise(8 * MIB, 'other'))
    const reader = threads()
    const begun = Promise.withResolvers<void>()
    const room = Promise.withResolvers<void>()
    const take = (): Promise<void> => {
      begun.resolve()
      return room.promise
    }
    const slow = reader.read({ folder, path, sizeHint: 16 * MIB }, take, SCAN)
    await begun.promise
    expect((await wholeFile(reader, folder, 'other', 8 * MIB)).read?.steady).toBe(true)
    await truncate(path, 4 * MIB)
    room.resolve()
    expect(await slow, 'what was cut off while nobody took had not been read').toMatchObject({
      size: 4 * MIB,
      steady: false
    })
  })

  test.each([true, false])(
    'files whose takers wait keep no look and no other file waiting (prompt: %s)',
    async (prompt) => {
      const folder = await temporaryFolder()
      await fill({ folder }, { stamp: '', little: 'x', large: noise(8 * MIB) })
      const reader = threads()
      const begun = slowTakers(reader, folder, { large: 6, little: 300 }, prompt)
      await expect.poll(() => begun, { timeout: 10_000 }).toEqual({ large: 6, little: 300 })
      const options = { prompt }
      const looked = await reader.begin({ folder, stamp: join(folder, 'stamp'), paths: ['little'] }, options)
      expect(looked.facts.kind(0)).toBe('file')
      expect((await reader.list(folder, options))?.names.length).toBe(3)
      for (const [name, size] of [
        ['little', 1],
        ['large', 8 * MIB]
      ] as const) {
        const request = { folder, path: join(folder, name), sizeHint: size }
        expect((await reader.read(request, async () => undefined, options))?.size, name).toBe(size)
      }
    }
  )

  test('of files that nobody takes only so many are read, and looks are answered all the same', async () => {
    const folder = await temporaryFolder()
    await fill({ folder }, { stamp: '', little: 'x', large: noise(2 * MIB) })
    const reader = threads()
    const begun = slowTakers(reader, folder, { large: 40, little: 2_000 }, true)
    await expect.poll(() => begun, { timeout: 10_000 }).toEqual({ large: 16, little: 16 * 64 })
    await reader.begin({ folder, stamp: join(folder, 'stamp'), paths: ['little'] }, PROMPT)
    expect((await reader.list(folder, PROMPT))?.names.length).toBe(3)
    expect(begun).toEqual({ large: 16, little: 16 * 64 })
  })

  test('one that gave up while its taker hangs leaves room for others', async () => {
    const folder = await temporaryFolder()
    const path = join(folder, 'large')
    await writeFile(path, noise(8 * MIB))
    const reader = threads()
    for (let round = 0; round < 8; round++) {
      const ended = new AbortController()
      const take = (): Promise<void> => {
        ended.abort()
        return new Promise(() => undefined)
      }
      const request = { folder, path, sizeHint: 8 * MIB }
      const options = { ...SCAN, signal: ended.signal }
      expect(await reader.read(request, take, options).then(String, codeOf)).toBe('ABORTED')
    }
    expect((await wholeFile(reader, folder, 'large', 8 * MIB)).read?.steady).toBe(true)
  })

  test('a thread that dies fails what it was at, and is replaced', async () => {
    const folder = await temporaryFolder()
    await writeFile(join(folder, 'file'), 'x')
    const errors: string[] = []
    const log = { ...silent, error: (_fields: object, text: string) => void errors.push(text) }
    const deaths = ["throw new Error('out of memory')", 'process.exit(3)']
    let started = 0
    const reader = opened(() =>
      workerReader({
        log,
        start: (options) => {
          const death = deaths[started++]
          if (death === undefined) return startReaderThread(options)
          const code = `require('node:worker_threads').parentPort.on('message', () => { ${death} })`
          return new Worker(code, { eval: true })
        }
      })
    )
    for (const death of deaths) {
      const all = await Promise.all(
        ['file', 'file'].map((name) => wholeFile(reader, folder, name).then(String, codeOf))
      )
      expect(all, death).toEqual(['UNEXPECTED', 'UNEXPECTED'])
    }
    expect((await wholeFile(reader, folder, 'file')).read?.size).toBe(1)
    expect(errors.length).toBe(2)
  })

  test('a closed reader ends what is under way, and takes nothing more', async () => {
    const folder = await temporaryFolder()
    const path = join(folder, 'large')
    await writeFile(path, noise(8 * MIB))
    const reader = threads()
    const begun = Promise.withResolvers<void>()
    const take = (): Promise<void> => {
      begun.resolve()
      return new Promise(() => undefined)
    }
    const reading = reader.read({ folder, path, sizeHint: 8 * MIB }, take, SCAN).then(String, codeOf)
    await begun.promise
    await reader.close()
    expect(await reading).toBe('CLOSED')
    await expect(reader.list(folder, PROMPT)).rejects.toMatchObject({ code: 'CLOSED' })
  })

  test.skipIf(platform() !== 'linux' || !existsSync('/usr/bin/ionice'))(
    'whole workspaces are read with idle priority; what somebody waits for is not',
    async () => {
      const folder = await temporaryFolder()
      const idle = (): number =>
        readdirSync('/proc/self/task').filter((thread) => {
          try {
            return execFileSync('ionice', ['-p', thread], { encoding: 'utf8' }).startsWith('idle')
          } catch {
            // It ended since it was listed.
            return false
          }
        }).length
      const before = idle()
      const reader = threads()
      await reader.list(folder, PROMPT)
      expect(idle()).toBe(before)
      await reader.list(folder, SCAN)
      await expect.poll(() => idle() - before, { timeout: 10_000 }).toBe(1)
    }
  )
})
