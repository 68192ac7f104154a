import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import type { Scratch } from '../scratch.ts'
import { type Environment, output, timed } from '../system.ts'

export interface ResticRun {
  readonly ms: number
  /** What it added to its repository. */
  readonly addedBytes: number
}

/** A restic repository on this disk, encrypted as it always is. */
export class Restic {
  readonly #program: string
  readonly #environment: Environment

  private constructor(program: string, environment: Environment) {
    this.#program = program
    this.#environment = environment
  }

  static async create(scratch: Scratch, program: string): Promise<Restic> {
    const folder = join(scratch.folder, 'restic')
    await mkdir(folder, { recursive: true })
    const environment = {
      RESTIC_REPOSITORY: join(folder, 'repository'),
      RESTIC_CACHE_DIR: join(folder, 'cache'),
      RESTIC_PASSWORD: 'bench',
      HOME: folder
    }
    await output(program, ['init'], environment)
    return new Restic(program, environment)
  }

  async backup(files: string): Promise<ResticRun> {
    let report = ''
    const ms = await timed(async () => {
      report = await output(this.#program, ['backup', '--json', '--quiet', files], this.#environment)
    })
    return { ms, addedBytes: addedBytes(report) }
  }
}

/** One JSON object a line; the last is the summary. */
export function addedBytes(report: string): number {
  const { data_added: added } = JSON.parse(report.trim().split('\n').at(-1) ?? '{}') as { data_added?: number }
  return added ?? Number.NaN
}
