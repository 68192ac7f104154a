import { fileURLToPath } from 'node:url'
import type { WorkspaceId } from '../../../../src/core/ids.ts'

export const SCRIPT = fileURLToPath(new URL('../../../tools/scripted-app.mjs', import.meta.url))

export const workspaceNumber = (number: number): WorkspaceId => number.toString(16).padStart(32, '0') as WorkspaceId
