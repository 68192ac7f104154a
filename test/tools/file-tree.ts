import { mkdir, rm, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'

const NAMES = [
  'notes.txt',
  'a name with spaces.md',
  ' two  spaces.txt',
  '.hidden',
  '.config.d',
  'naïve café.txt',
  '日本語のファイル.txt',
  'Ελληνικά',
  '👩‍🔬 results.csv',
  'e\u0301 decomposed.txt',
  '100% sure?.txt',
  'a#b&c=d+e.txt',
  "it's [the] (one).txt",
  'semi;colon, comma.tsv',
  'quote"mark.txt',
  '<tag>.xml',
  'tilde~.bak',
  'dots...many..gz'
]

const PARTS = ['data', 'with space', '.git', 'Übung', 'deep', '深い', 'run #7', 'a&b', 'x'.repeat(120)]

const DEPTH_MAX = 9
const FOLDERS = 120
const EMPTY_FOLDERS = 12
const SMALL_BYTES = 12_000
const MIDDLE_BYTES = 300_000
const LARGE_BYTES = 4_000_000

/** Numbers in [0, 1), the same for the same seed. */
export function seededNumbers(seed: number): () => number {
  let state = seed >>> 0
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
    const mixed = Math.imul(state ^ (state >>> 15), 0x2c1b3c6d)
    return ((mixed ^ (mixed >>> 13)) >>> 0) / 2 ** 32
  }
}

/** A folder of files as people have them, made from a seed: all kinds of names, mostly small, some of megabytes. */
export class FileTree {
  readonly root: string
  readonly paths: string[] = []
  bytes = 0
  readonly #next: () => number
  #made = 0

  private constructor(root: string, seed: number) {
    this.root = root
    this.#next = seededNumbers(seed)
  }

  /** Makes `count` files below `root`, some folders deep, and some folders with nothing in them. */
  static async make(root: string, seed: number, count: number): Promise<FileTree> {
    const tree = new FileTree(root, seed)
    const folders = ['']
    while (folders.length < FOLDERS) {
      const parent = tree.#pick(folders)
      if (parent.split('/').length < DEPTH_MAX) folders.push(join(parent, `${tree.#pick(PARTS)} ${folders.length}`))
    }
    for (let index = 0; index < count; index++) {
      await tree.add(join(tree.#pick(folders), `${index}`.padStart(4, '0') + tree.#pick(NAMES)), tree.#size())
    }
    for (const name of NAMES) await tree.add(name, tree.#size())
    for (let index = 0; index < EMPTY_FOLDERS; index++) {
      await mkdir(join(root, tree.#pick(folders), `empty ${index}`, 'and deeper'), { recursive: true })
    }
    return tree
  }

  /** Makes or replaces a file. */
  async add(path: string, bytes: number): Promise<void> {
    const full = join(this.root, path)
    await mkdir(dirname(full), { recursive: true })
    await writeFile(full, this.#content(bytes))
    if (!this.paths.includes(path)) this.paths.push(path)
    this.bytes += bytes
  }

  /** Changes, removes and adds some, and removes a folder with all that is in it. */
  async change(each: number): Promise<void> {
    for (let index = 0; index < each; index++) await this.add(this.#pick(this.paths), 1 + this.#size())
    for (let index = 0; index < each; index++) await this.#remove(this.#pick(this.paths))
    for (let index = 0; index < each; index++) await this.add(`new folder/${index} ${this.#pick(NAMES)}`, this.#size())
    await this.#remove(dirname(this.paths.find((path) => path.includes('/')) ?? ''))
  }

  async #remove(path: string): Promise<void> {
    await rm(join(this.root, path), { recursive: true })
    const kept = this.paths.filter((known) => known !== path && !known.startsWith(`${path}/`))
    this.paths.splice(0, this.paths.length, ...kept)
  }

  #pick<T>(from: readonly T[]): T {
    const found = from[Math.floor(this.#next() * from.length)]
    if (found === undefined) throw new Error('nothing to pick from')
    return found
  }

  #size(): number {
    const kind = this.#next()
    if (kind < 0.03) return 0
    if (kind < 0.95) return Math.floor(this.#next() * SMALL_BYTES)
    return Math.floor(this.#next() * (kind < 0.995 ? MIDDLE_BYTES : LARGE_BYTES))
  }

  /** No two alike. */
  #content(bytes: number): Buffer {
    const buffer = Buffer.alloc(bytes)
    this.#made += 1
    let state = this.#made
    for (let at = 0; at + 4 <= bytes; at += 4) {
      state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
      buffer.writeUInt32LE(state, at)
    }
    return buffer
  }
}
