import type { ConfirmedView } from '../../console/views.ts'
import { API_SETTINGS, command, group } from '../command.ts'
import { adminApi } from '../context.ts'

const confirm = command({
  name: 'confirm',
  about: 'go on after a mass loss: the instances that are gone are given up, and others take over',
  settings: API_SETTINGS,
  examples: ['node-daemon failover confirm'],
  exits: { 4: 'nothing is held: there is nothing to confirm; or not permitted', 5: true },
  async run(context, values) {
    const confirmed = await adminApi(context, values).send<ConfirmedView>('POST', '/failover/confirm')
    context.print.machine(confirmed)
    context.print.say('Others take over from the instances that are gone. See: node-daemon workspaces ls')
    return 0
  }
})

export const failoverCommand = group('failover', 'what happens when instances are gone', [confirm])
