import type { WorkspaceDetailView } from '../../console/views.ts'
import { API_SETTINGS, command, YES } from '../command.ts'
import { adminApi, sure } from '../context.ts'
import { bytes, clean, count } from '../format.ts'

export const rm = command({
  name: 'rm',
  takes: ['<workspace>'],
  about: 'remove a workspace for good: its files, all copies of them, and its history',
  settings: { ...API_SETTINGS, ...YES },
  examples: ['node-daemon workspaces rm 7f3a', 'node-daemon workspaces rm 7f3a --yes'],
  exits: { 3: 'no such workspace, or several begin like this', 4: true, 5: true, 130: true },
  async run(context, values, [id = '']) {
    const api = adminApi(context, values)
    const { print } = context
    const view = await api.get<WorkspaceDetailView>(`/workspaces/${encodeURIComponent(id)}`)
    const what = `${count(view.files, 'file', 'files')} (${bytes(view.usedBytes)}) of ${clean(view.user)}`
    await sure(
      context,
      `Remove ${what} in ${clean(view.service)}, with all copies and the history, for good?`,
      values.yes
    )
    await api.send('DELETE', `/workspaces/${view.id}`)
    print.machine({ id: view.id, removed: true })
    print.say(`${clean(view.id.slice(0, 12))} is removed. Instances that are away remove its files when they are back.`)
    return 0
  }
})
