// A process that runs one app, and prints the numbers of its processes. usage: daemon.ts FOLDER bwrap|none
import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { CommandApps } from '../../../../src/apps/command/command-apps.ts'
import { ProcessTable } from '../../../../src/apps/command/proc.ts'
import { parseCommand } from '../../../../src/apps/command/spec.ts'
import { systemClock } from '../../../../src/core/clock.ts'
import type { ServiceName } from '../../../../src/core/ids.ts'
import { silent } from '../../../../src/core/log.ts'
import { APP_TOOLS, relayed, sendSignal } from '../../../../src/daemon/app-machine.ts'
import { SCRIPT, workspaceNumber } from './names.ts'

const [, , root = '', kind = ''] = process.argv
const isConfined = kind === 'bwrap'
const service = 'notes' as ServiceName
const node = isConfined ? '/run/node-daemon/node' : process.execPath
const apps = await CommandApps.open({
  folder: join(root, 'apps'),
  workspaces: join(root, 'workspaces'),
  services: new Map([
    [service, { spec: parseCommand(`${node} ${SCRIPT} {port}`), readable: [SCRIPT], isReady: null, isAtWork: null }]
  ]),
  sandbox: {
    kind: isConfined ? 'bwrap' : 'none',
    network: !isConfined,
    limits: { memoryBytes: 1e9, processes: 100, openFiles: 100 },
    tools: APP_TOOLS
  },
  relay: relayed,
  environment: { PATH: '/usr/bin:/bin' },
  appsMax: 1,
  idleMs: 60_000,
  startMs: 20_000,
  reserveBytes: 0,
  freeBytes: async () => 1e12,
  secretOf: () => '',
  send: sendSignal,
  clock: systemClock(),
  log: silent
})
const folder = join(root, 'workspace')
await mkdir(folder)
const app = apps.of({ workspace: workspaceNumber(1), service, epoch: 1, folder })
await app?.reach('/')
process.stdout.write(`${JSON.stringify(new ProcessTable().tree((await app?.running?.root()) ?? 0))}\n`)
