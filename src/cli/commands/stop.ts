import { sleep } from '../../core/clock.ts'
import { hasCode, NodeDaemonError } from '../../core/errors.ts'
import { command } from '../command.ts'
import { type Context, folderOf } from '../context.ts'
import { roleOf } from '../folders.ts'
import { type Api, connectApi, folderPlace } from '../local-client.ts'

const GONE_WITHIN_MS = 20_000
const LOOK_EVERY_MS = 100

/** Resolves once nobody answers any more, so that what follows finds the folder free. */
async function gone(context: Context, api: Api): Promise<void> {
  const until = context.clock.now() + GONE_WITHIN_MS
  while (context.clock.now() < until) {
    try {
      await api.get('/status')
    } catch (error) {
      if (hasCode(error, 'NOT_RUNNING')) return
      if (!hasCode(error, 'OUT_OF_REACH', 'CLOSED')) throw error
    }
    await sleep(context.clock, LOOK_EVERY_MS)
  }
  throw new NodeDaemonError('TIMED_OUT', `the daemon still runs ${GONE_WITHIN_MS / 1000} s after its flush`, {
    advice: 'everything is saved; look at its log for what keeps it'
  })
}

export const stopCommand = command({
  name: 'stop',
  about:
    'flush and stop, to be back soon: standbys wait; with the data folder of a coordinator or a front door it stops that one',
  settings: {},
  examples: ['node-daemon stop', 'node-daemon stop --data /srv/coordinator'],
  exits: { 5: 'no instance runs here, or it does not end' },
  async run(context) {
    const folder = folderOf(context, 'instance')
    const api = connectApi(folderPlace(folder, roleOf(folder, 'instance')))
    await api.send('POST', '/stop', {}, { patient: true })
    await gone(context, api)
    context.print.machine({ state: 'stopped' })
    context.print.say('Stopped; everything is saved.')
    return 0
  }
})
