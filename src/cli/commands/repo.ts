import type { RepositoryView } from '../../console/views.ts'
import { API_SETTINGS, command, group } from '../command.ts'
import { adminApi } from '../context.ts'
import { bytes } from '../format.ts'
import { facts } from '../table.ts'

const stats = command({
  name: 'stats',
  about: 'what the main repository holds',
  settings: API_SETTINGS,
  examples: ['node-daemon repo stats', 'node-daemon repo stats --json'],
  exits: { 4: true, 5: true },
  async run(context, values) {
    const view = await adminApi(context, values).get<RepositoryView>('/repo/stats')
    context.print.machine(view)
    context.print.say(
      facts([
        ['Workspaces', view.workspaces],
        ['Heads', view.heads],
        ['Blocks', `${view.blocks} in ${view.packs} packs`],
        ['Users see', bytes(view.logicalBytes)],
        ['Disk holds', bytes(view.storedBytes)],
        ['Saved by sharing', `${view.dedupRatio.toFixed(2)} times`]
      ]).trimEnd()
    )
    return 0
  }
})

export const repoCommand = group('repo', 'the main repository', [stats])
