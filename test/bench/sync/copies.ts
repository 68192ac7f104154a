import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Scratch } from '../scratch.ts'
import { freePort, output, startServer, timed } from '../system.ts'

/** One run of rsync: how long, and how much crossed the connection both ways. */
export interface RsyncRun {
  readonly ms: number
  readonly wireBytes: number
}

/** An rsync daemon on loopback. */
export interface RsyncDaemon {
  /** Makes `to`, a folder below the daemon's, equal to the folder `from`, by its delta algorithm. */
  copy(from: string, to: string, options: { readonly fsync: boolean }): Promise<RsyncRun>
}

export async function startRsync(scratch: Scratch, program: string, folder: string): Promise<RsyncDaemon> {
  const port = await freePort()
  const config = join(scratch.folder, 'rsyncd.conf')
  // Without this a daemon of root's writes as nobody.
  const user = process.getuid?.() === 0 ? 'uid = 0\ngid = 0\n' : ''
  await mkdir(folder, { recursive: true })
  await writeFile(config, `use chroot = no\n${user}[bench]\npath = ${folder}\nread only = no\n`)
  await startServer(
    scratch,
    program,
    ['--daemon', '--no-detach', '--address=127.0.0.1', `--port=${port}`, `--config=${config}`, '--log-file=/dev/null'],
    port
  )
  return {
    async copy(from, to, { fsync }) {
      const flags = ['--archive', '--no-whole-file', '--stats', ...(fsync ? ['--fsync'] : [])]
      let report = ''
      const ms = await timed(async () => {
        report = await output(program, [...flags, `${from}/`, `rsync://127.0.0.1:${port}/bench/${to}/`])
      })
      return { ms, wireBytes: counted(report, 'sent') + counted(report, 'received') }
    }
  }
}

function counted(report: string, what: 'sent' | 'received'): number {
  const [, digits = 'NaN'] = new RegExp(`^Total bytes ${what}: ([\\d,.]+)`, 'm').exec(report) ?? []
  return Number(digits.replaceAll(/[,.]/g, ''))
}

/** `cp`, and with `sync` until the file system has it all. In milliseconds. */
export function copyFolder(from: string, to: string, { sync }: { readonly sync: boolean }): Promise<number> {
  return timed(async () => {
    await output('cp', ['-r', from, to])
    if (sync) await output('sync', ['--file-system', to])
  })
}
