import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseUpstream } from '../../src/apps/upstream/target.ts'
import { readConfig } from '../../src/cli/config.ts'
import { list, maybe } from '../../src/cli/settings.ts'
import * as values from '../../src/cli/values.ts'
import * as inputs from '../../src/console/inputs.ts'
import { parseTarget } from '../../src/membership/target.ts'
import { parseRoute, routeText } from '../../src/routing/service-route.ts'
import { COORDINATOR } from '../unit/wire/samples.ts'
import { type FuzzTarget, textTarget } from './target.ts'

const cli: readonly FuzzTarget[] = [
  textTarget('a size', ['10GB', '2.5MiB', '0'], values.size),
  textTarget('a rate', ['10MB/s', '1KiB/s'], values.rate),
  textTarget('a schedule of rates', ['10MB/s', 'none,1MB/s@08:00-18:00'], values.limitSchedule),
  textTarget('a duration', ['2s', '10m', '7d', '1.5h'], values.duration),
  textTarget('a host and port', ['127.0.0.1:9480', '[::1]:0', 'main.example:80'], values.hostPort),
  textTarget(
    'a multiaddr',
    ['/ip4/0.0.0.0/tcp/9470', `/dns/main.example/tcp/1/p2p/${COORDINATOR.peerId}`],
    values.multiaddr
  ),
  textTarget('a label', ['a=b', 'zone=se'], values.label),
  textTarget('a change of a label', ['a=b', 'a='], values.labelChange),
  textTarget('an offer', ['files', 'notes=http://127.0.0.1:8080', 'notes=http://[::1]:80'], values.offer),
  textTarget('a command of a service', ['files=/usr/bin/true --x'], values.serviceCommand),
  textTarget('a CIDR', ['10.0.0.0/8', '::1/128', '127.0.0.1'], values.cidr),
  textTarget('a web address', ['https://main.example.org', 'http://[::1]:80/'], values.webUrl),
  textTarget('a retention', ['minutes=1,hours=24,days=7,weeks=4,months=12'], values.retention),
  textTarget(
    'a moment',
    ['2026-01-01T00:00:00Z', '22:00'],
    values.moment(() => 1_750_000_000_000)
  ),
  textTarget('a line', ['a name'], values.line(100)),
  textTarget('a whole number', ['10'], values.whole(0, 100)),
  textTarget(
    'what a volunteer types',
    ['https://main.example.org', 'main.example.org:80', `/ip4/1.2.3.4/tcp/1/p2p/${COORDINATOR.peerId}`],
    parseTarget
  ),
  textTarget('the address of an app', ['http://127.0.0.1:8080', 'http://[::1]'], parseUpstream),
  textTarget('a route', ['/notes', 'host:wiki.example', '/'], (route) => routeText(parseRoute(route)))
]

/** A settings file that is read from a real folder, which `close` removes. */
export class ConfigTarget implements FuzzTarget, Disposable {
  readonly name = 'a settings file'
  readonly samples = [
    'name: alpha\nlisten:\n  - /ip4/0.0.0.0/tcp/1\n',
    'a: &x [*x]\n',
    '{name: [a, {b: c}]}',
    '--- !!js x\n'
  ].map((sample) => Buffer.from(sample))
  readonly #folder = mkdtempSync(join(tmpdir(), 'node-daemon-fuzz-'))
  readonly #known = {
    name: maybe('<name>', '', String),
    listen: list('<addr>', '', String),
    label: list('<l>', '', String)
  }

  async take(input: Uint8Array): Promise<void> {
    const path = join(this.#folder, 'config.yaml')
    writeFileSync(path, input)
    await readConfig(path, this.#known, { required: true })
  }

  [Symbol.dispose](): void {
    rmSync(this.#folder, { recursive: true })
  }
}

const bodies = Object.entries(inputs).flatMap(([name, schema]): FuzzTarget[] =>
  typeof schema === 'object' && 'safeParse' in schema
    ? [
        textTarget(
          `an order of the console: ${name}`,
          [
            '{"name":"a","labels":{"a":"b"}}',
            '{"deadlineMs":1,"to":"x"}',
            '{"limit":"5","at":"2026-01-01T00:00:00Z"}',
            '{"path":"a/b"}'
          ],
          (body) => {
            const value = jsonOf(body)
            if (value !== undefined) schema.safeParse(value)
          }
        )
      ]
    : []
)

function jsonOf(body: string): unknown {
  try {
    return JSON.parse(body)
  } catch {
    return undefined
  }
}

export const TEXT_TARGETS: readonly FuzzTarget[] = [...cli, ...bodies]
