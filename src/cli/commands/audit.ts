import type { AuditCheckView, AuditEntryView } from '../../console/views.ts'
import { NodeDaemonError } from '../../core/errors.ts'
import { API_SETTINGS, command, onlyNow } from '../command.ts'
import { adminApi, type Context } from '../context.ts'
import { count } from '../format.ts'
import type { Api } from '../local-client.ts'
import { toggle, value } from '../settings.ts'
import { whole } from '../values.ts'

const LIMIT = {
  limit: onlyNow(value('<n>', 'how many of the newest entries', whole(1, 10_000), 100, '100'))
}

async function list({ print }: Context, api: Api, limit: number): Promise<0> {
  const entries = await api.get<AuditEntryView[]>(`/audit?limit=${limit}`)
  print.machine(entries)
  print.table(
    [
      { title: 'NO', of: (entry) => entry.number, right: true, fixed: true },
      { title: 'AT', of: (entry) => entry.at, fixed: true },
      { title: 'WHO', of: (entry) => entry.actor },
      { title: 'DID', of: (entry) => entry.action },
      { title: 'TO', of: (entry) => entry.target },
      { title: 'THAT IS', of: (entry) => entry.text || JSON.stringify(entry.details ?? {}) }
    ],
    entries,
    'Nothing was decided yet.'
  )
  return 0
}

async function verify({ print }: Context, api: Api): Promise<0> {
  const check = await api.get<AuditCheckView>('/audit/verify')
  print.machine(check)
  if (!check.ok) {
    throw new NodeDaemonError('INTEGRITY', `the audit log is broken at entry ${check.brokenAt ?? 'unknown'}`, {
      advice: 'an entry was changed, taken out or put in after it was written: compare with a backup'
    })
  }
  print.say(print.styled('green', `The audit log is whole: ${count(check.entries, 'entry', 'entries')}.`))
  return 0
}

const ls = command({
  name: 'ls',
  about: 'list the newest entries, newest first',
  settings: { ...API_SETTINGS, ...LIMIT },
  examples: ['node-daemon audit ls --limit 20'],
  exits: { 4: true, 5: true },
  run: (context, values) => list(context, adminApi(context, values), values.limit)
})

export const auditCommand = command(
  {
    name: 'audit',
    about: 'the audit log: who decided what, and when',
    settings: { ...API_SETTINGS, ...LIMIT, verify: toggle('is the chain of entries whole?', { flagOnly: true }) },
    examples: ['node-daemon audit', 'node-daemon audit --verify'],
    exits: { 4: true, 5: true, 7: 'the log was changed' },
    run(context, values) {
      const api = adminApi(context, values)
      return values.verify ? verify(context, api) : list(context, api, values.limit)
    }
  },
  [ls]
)
