import { expect, test } from 'vitest'
import * as values from '../../../src/cli/values.ts'
import { NodeDaemonError } from '../../../src/core/errors.ts'
import { RETENTION } from '../../../src/store/repository.ts'

test.each([
  ['0', 0],
  ['500', 500],
  ['10kB', 10_000],
  ['10GB', 10_000_000_000],
  ['10 gb', 10_000_000_000],
  ['50GiB', 50 * 2 ** 30],
  ['1.5MiB', 1.5 * 2 ** 20],
  ['7B', 7]
])('the size %s', (text, bytes) => {
  expect(values.size(text)).toBe(bytes)
})

test.each([
  ['10MB/s', 10_000_000],
  ['1MiB/s', 1_048_576],
  ['100Mbit/s', 12_500_000],
  ['8bit/s', 1]
])('the rate %s', (text, perSecond) => {
  expect(values.rate(text)).toBe(perSecond)
})

test.each([
  ['500ms', 500],
  ['2s', 2000],
  ['1.5s', 1500],
  ['10m', 600_000],
  ['1h30m', 5_400_000],
  ['7d', 604_800_000],
  ['2w', 1_209_600_000]
])('the duration %s', (text, ms) => {
  expect(values.duration(text)).toBe(ms)
})

test.each([
  ['127.0.0.1:9480', { host: '127.0.0.1', port: 9480 }],
  ['[::1]:0', { host: '::1', port: 0 }],
  ['main.example.org:80', { host: 'main.example.org', port: 80 }]
])('the host and port %s', (text, hostPort) => {
  expect(values.hostPort(text)).toEqual(hostPort)
})

test.each(['/ip4/0.0.0.0/tcp/9470', '/ip6/::/tcp/0', '/dns/main.example.org/tcp/443/tls/ws'])(
  'the address %s',
  (text) => {
    expect(values.multiaddr(text)).toBe(text)
  }
)

test('a command stands after the name of its service, and may hold anything', () => {
  const line = "PGHOST=/run/postgresql /srv/hook.sh 'a, b'"
  expect(values.serviceCommand(`files=${line}`)).toEqual(['files', line])
  for (const text of ['files', 'files=', 'files= ', '=true', 'Files=true', 'a b=true', `files=${'x'.repeat(4001)}`]) {
    expect(() => values.serviceCommand(text), text).toThrow(NodeDaemonError)
  }
})

test('what a retention does not name stays as it is by default', () => {
  expect(values.retention('hours=1, days=0')).toEqual({ ...RETENTION, hours: 1, days: 0 })
})

test.each(['', 'hours', 'hours=', 'hours=x', 'years=1', 'hours=1,hours=2', 'hours=-1', 'hours=1.5', 'hours=10000000'])(
  '"%s" is no retention',
  (text) => {
    expect(() => values.retention(text)).toThrow(NodeDaemonError)
  }
)

const NOW = Date.parse('2026-01-31T12:00:00Z')
test.each([
  ['2h', NOW - 7_200_000],
  ['1d12h', NOW - 129_600_000],
  ['2026-01-30T10:00:00Z', Date.parse('2026-01-30T10:00:00Z')],
  ['2026-01-30T10:00:00.123+02:00', Date.parse('2026-01-30T08:00:00.123Z')],
  ['2026-01-30', new Date(2026, 0, 30).getTime()],
  ['2026-01-30T10:00', new Date(2026, 0, 30, 10).getTime()]
])('the moment %s', (text, ms) => {
  expect(values.moment(() => NOW)(text)).toBe(ms)
})

test.each(['', 'yesterday', '2h ago', '2026-13-01', '2026', '-2h', '99999999d'])('"%s" is no moment', (text) => {
  expect(() => values.moment(() => NOW)(text)).toThrow(NodeDaemonError)
})

test('a service is offered by its name, with the address of its app where that is not built in', () => {
  expect(values.offer('files')).toEqual({ name: 'files', upstream: null, command: null })
  expect(values.offer('shared=files')).toEqual({ name: 'shared', upstream: null, command: null })
  expect(() => values.offer('notes')).toThrow(/built in/)
  expect(values.offer('notes=http://localhost:8080')).toEqual({
    name: 'notes',
    upstream: { host: 'localhost', port: 8080 },
    command: null
  })
  expect(values.offer("lab=command:my-app --at {socket} 'a b'")).toEqual({
    name: 'lab',
    upstream: null,
    command: { words: ['my-app', '--at', '{socket}', 'a b'], listens: 'socket' }
  })
  expect(() => values.offer('lab=command:my-app')).toThrow('where the app listens')
  expect(values.servicePath('lab=/opt/my-app')).toEqual(['lab', '/opt/my-app'])
  expect(() => values.servicePath('lab=opt')).toThrow(NodeDaemonError)
})

test('labels are set with = and taken away with -', () => {
  expect(values.label('site=freiburg')).toEqual(['site', 'freiburg'])
  expect(values.label('a=b=c')).toEqual(['a', 'b=c'])
  expect(values.labelChange('gpu-')).toEqual(['gpu', null])
  expect(values.labelChange('note=x-')).toEqual(['note', 'x-'])
})

test('a key that is given twice is refused, and no key reaches the prototype', () => {
  expect(() => values.pairs([values.label('a=1'), values.label('a=2')])).toThrow(/twice/)
  expect(Object.keys(values.pairs([['__proto__', 'x']]))).toEqual(['__proto__'])
})

test('yes, no, words, whole numbers and none', () => {
  expect(values.yesNo('Yes')).toBe(true)
  expect(values.yesNo('off')).toBe(false)
  expect(values.oneOf('drain', 'flush')('flush')).toBe('flush')
  expect(values.whole(0, 10)('10')).toBe(10)
  expect(values.orNone(values.size)('none')).toBeNull()
  expect(values.cidr('10.0.0.0/8')).toBe('10.0.0.0/8')
  expect(values.cidr('::1')).toBe('::1')
})

const WRONG: readonly [string, (text: string) => unknown, readonly string[]][] = [
  ['size', values.size, ['', 'GB', '-1', '10XB', '1e9', '99999999999PB', '10 000']],
  ['rate', values.rate, ['10MB', '0B/s', '1bit/s', '/s', 'fast/s']],
  ['duration', values.duration, ['', '5', '-2s', '2 s', '10y', '999999999d', '1s1']],
  ['host and port', values.hostPort, ['9480', 'host', 'a:b', '::1:80', '[x]:1', '127.0.0.1:70000', 'a b:1']],
  [
    'address',
    values.multiaddr,
    ['127.0.0.1:80', '/ip4/::1/tcp/1', '/ip4/1.2.3.4/udp/1', '/ip4/1.2.3.4/tcp/99999', '/ip4/300.0.0.1/tcp/1']
  ],
  ['label', values.label, ['x', '=x', 'a b=c', `k=${'v'.repeat(64)}`, 'k=a\nb']],
  [
    'service',
    values.offer,
    [
      'Files',
      '',
      'a b',
      'a=',
      'a=http://x',
      'a=https://127.0.0.1',
      'a=http://127.0.0.1/x',
      'a=command:make',
      'A=http://[::1]:1'
    ]
  ],
  [
    'address of a server',
    values.origin,
    ['alpha.example.org', 'https://a.example/x', 'https://a.example/?', 'ftp://a', 'https://a@b.example', '']
  ],
  ['web address', values.webUrl, ['main.example.org', 'javascript:alert(1)', '']],
  ['range', values.cidr, ['10.0.0.0/33', 'host', '1.2.3.4/5/6', '10.0.0.0/']],
  ['line', values.line(3), ['four', 'a\nb', '\u001b']],
  ['whole number', values.whole(1, 5), ['0', '6', '1.5', 'one', '']]
]

test.each(WRONG)('what is no %s is refused, with how to write it', (_what, parser, texts) => {
  for (const text of texts) {
    let error: unknown = null
    try {
      parser(text)
    } catch (thrown) {
      error = thrown
    }
    expect(error, JSON.stringify(text)).toBeInstanceOf(NodeDaemonError)
    expect(error).toMatchObject({ code: 'BAD_USAGE', advice: expect.stringMatching(/^(write|say)/) })
  }
})

test.each([
  ['10MB/s', { limit: 10_000_000, hours: [] }],
  ['none,1MB/s@08:00-18:00', { limit: null, hours: [{ fromMinute: 480, toMinute: 1080, limit: 1_000_000 }] }],
  ['1MB/s,none@18:00-24:00', { limit: 1_000_000, hours: [{ fromMinute: 1080, toMinute: 0, limit: null }] }],
  ['1MB/s,none@00:00-24:00', { limit: 1_000_000, hours: [{ fromMinute: 0, toMinute: 0, limit: null }] }]
])('the limit %s', (text, schedule) => {
  expect(values.limitSchedule(text)).toEqual(schedule)
})

test.each([
  ['1MB/s@08:00-18:00', 'begin with the limit of the other hours, or none'],
  ['1MB/s@8-18', 'begin with the limit of the other hours, or none'],
  ['1MB/s@25:00-26:00', 'begin with the limit of the other hours, or none'],
  ['none,1MB/s@8-18', 'four digits'],
  ['none,1MB/s@24:00-08:00', 'four digits'],
  ['none,1MB/s@08:00-08:00', '00:00-24:00'],
  ['none,1MB/s@00:00-00:00', '00:00-24:00']
])('the limit %s is refused with a hint about its hours', (text, hint) => {
  expect(() => values.limitSchedule(text)).toThrow(
    expect.objectContaining({ code: 'BAD_USAGE', advice: expect.stringContaining(hint) })
  )
})
