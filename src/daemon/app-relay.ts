import { spawn } from 'node:child_process'
import { connect, createServer, type Socket } from 'node:net'

/**
 * Runs inside a sandbox, as the parent of an app that listens on a port there: what comes in at a Unix socket goes to
 * that port. It passes SIGTERM on, and ends as the app does. It stands alone: a sandbox holds no other file of this program.
 *
 *     node app-relay.mjs SOCKET PORT COMMAND…
 */
const [, , path = '', port = '', file = '', ...args] = process.argv

const relay = createServer({ allowHalfOpen: true }, (from: Socket) => {
  const to = connect({ host: 'localhost', port: Number(port), allowHalfOpen: true })
  for (const [one, other] of [
    [from, to],
    [to, from]
  ] as const) {
    one.setNoDelay(true)
    one.on('error', () => other.destroy())
    one.once('close', () => other.destroy())
    one.pipe(other)
  }
})

relay.listen(path, () => {
  const app = spawn(file, args, { stdio: 'inherit' })
  process.on('SIGTERM', () => app.kill('SIGTERM'))
  app.once('error', (error) => {
    process.stderr.write(`${error.message}\n`)
    process.exit(127)
  })
  app.once('exit', (code) => process.exit(code ?? 1))
})
