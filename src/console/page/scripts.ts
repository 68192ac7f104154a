import { API } from './scripts/api.ts'
import { AUDIT } from './scripts/audit.ts'
import { DIALOG } from './scripts/dialog.ts'
import { DOM } from './scripts/dom.ts'
import { DRAIN } from './scripts/drain.ts'
import { FORMAT } from './scripts/format.ts'
import { MAIN } from './scripts/main.ts'
import { OVERVIEW } from './scripts/overview.ts'
import { PEERS } from './scripts/peers.ts'
import { PENDING } from './scripts/pending.ts'
import { PEOPLE } from './scripts/people.ts'
import { WORKSPACES } from './scripts/workspaces.ts'

/**
 * The console's scripts, as the browser loads them: ES modules that import each other by these names. They are texts
 * here because this room reads no files; they hold no backtick and no dollar with a brace. Whatever comes from the
 * federation reaches the document as text only, since names and messages of instances may be hostile.
 */
export const SCRIPTS: Readonly<Record<string, string>> = {
  api: API,
  audit: AUDIT,
  dialog: DIALOG,
  dom: DOM,
  drain: DRAIN,
  format: FORMAT,
  main: MAIN,
  overview: OVERVIEW,
  peers: PEERS,
  pending: PENDING,
  people: PEOPLE,
  workspaces: WORKSPACES
}
