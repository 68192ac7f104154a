import { expect, test } from 'vitest'
import { createMetrics } from '../../../src/console/metrics.ts'
import { FakeCoordinator, STARTED_AT, STATUS, workspace } from './fakes.ts'

test('a scrape shows the service’s figures of that moment, in seconds and bytes', async () => {
  const service = new FakeCoordinator()
  const metrics = createMetrics(service)
  const first = (await metrics.scrape()).split('\n')
  expect(metrics.contentType).toContain('text/plain')
  for (const line of [
    'node_daemon_instances{state="serving"} 1',
    'node_daemon_instances{state="dead"} 0',
    'node_daemon_workspaces{state="serving"} 1',
    'node_daemon_unsynced_bytes 1500',
    'node_daemon_unsynced_age_seconds 2.5',
    'node_daemon_repository_stored_bytes 4096',
    'node_daemon_repository_damaged_blocks 1',
    'node_daemon_repository_last_gc_time_seconds 0',
    `node_daemon_repository_last_verify_time_seconds ${Date.parse(STARTED_AT) / 1000}`,
    'node_daemon_instance_unsynced_bytes{instance="alpha"} 1500',
    'node_daemon_instance_unsynced_age_seconds{instance="alpha"} 2.5',
    `node_daemon_workspace_unsynced_age_seconds{workspace="${workspace.id}"} 2.5`,
    'node_daemon_safe_to_switch_off 0',
    'node_daemon_info{version="0.1.0",federation="Example federation"} 1'
  ]) {
    expect(first).toContain(line)
  }
  expect(first.some((line) => line.startsWith('process_resident_memory_bytes '))).toBe(true)

  service.status = () => ({ ...STATUS, unsyncedBytes: 0, name: 'Renamed' })
  service.census = () => ({
    instances: { serving: 1, pending: 0, dead: 1 },
    workspaces: { serving: 1 },
    unsyncedInstances: [],
    unsyncedWorkspaces: []
  })
  const second = (await metrics.scrape()).split('\n')
  expect(second).toContain('node_daemon_unsynced_bytes 0')
  expect(second.filter((line) => /^node_daemon_(instance|workspace)_unsynced/.test(line))).toEqual([])
  expect(second).toContain('node_daemon_instances{state="dead"} 1')
  expect(second).toContain('node_daemon_instances{state="pending"} 0')
  expect(second.filter((line) => line.startsWith('node_daemon_info'))).toHaveLength(1)
})
