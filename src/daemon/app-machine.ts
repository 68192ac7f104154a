import { fileURLToPath } from 'node:url'
import type { Relay } from '../apps/command/plan.ts'
import type { SendSignal } from '../apps/command/running.ts'

const isSource = import.meta.url.endsWith('.ts')
const RELAY = fileURLToPath(new URL(isSource ? './app-relay.ts' : './app-relay.js', import.meta.url))
const NODE_INSIDE = '/run/node-daemon/node'
const RELAY_INSIDE = `/run/node-daemon/app-relay.${isSource ? 'mts' : 'mjs'}`

/** What each sandbox holds of this program. */
export const APP_TOOLS: Readonly<Record<string, string>> = { [NODE_INSIDE]: process.execPath, [RELAY_INSIDE]: RELAY }

export const relayed: Relay = (socket, port, command) => [NODE_INSIDE, RELAY_INSIDE, socket, String(port), ...command]

/** What has ended already is no failure. */
export const sendSignal: SendSignal = (pid, signal) => {
  try {
    process.kill(pid, signal)
  } catch (error) {
    if (!(error instanceof Error && 'code' in error && error.code === 'ESRCH')) throw error
  }
}
