import { runSeed } from './run.ts'

const log = (who: string) =>
  ({
    debug: (f: object, t: string) => console.log(who, 'D', t, JSON.stringify(f).slice(0, 200)),
    info: (f: object, t: string) => console.log(who, 'I', t, JSON.stringify(f).slice(0, 200)),
    warn: (f: object, t: string) => console.log(who, 'W', t, JSON.stringify(f).slice(0, 300)),
    error: (f: object, t: string) => console.log(who, 'E', t, JSON.stringify(f), f),
    child: (f: object) => log(Object.values(f).join(' '))
  }) as never
const from = Number(process.argv[2] ?? 1),
  to = Number(process.argv[3] ?? from)
const v = process.argv.includes('-v')
let bad = 0
const t0 = performance.now()
for (let s = from; s <= to; s++) {
  const t = performance.now()
  const o = await runSeed(
    String(s),
    v
      ? {
          onLine: (l) => {
            if (process.argv.includes('-n') || !/>/.test(l.split(' ')[1] ?? '')) console.log(l)
          },
          log: log('')
        }
      : {}
  )
  if (o.violations.length > 0) {
    bad++
    console.log(s, o.kind, o.violations.slice(0, 4))
  }
  if (from === to || process.argv.includes('-s'))
    console.log({ ...o, violations: o.violations.length, ms: Math.round(performance.now() - t) })
}
console.log(to - from + 1, 'seeds', bad, 'bad', ((performance.now() - t0) / 1000).toFixed(1), 's')
