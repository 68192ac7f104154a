#!/usr/bin/env node
// Old runtimes must be able to read this file, so it imports nothing before it has looked at the version.
const needed = 24
if (Number(process.versions.node.split('.')[0]) < needed) {
  process.stderr.write(
    `error BAD_USAGE: node-daemon needs Node ${needed} or newer, and this is ${process.versions.node}\n`
  )
  process.exitCode = 2
} else {
  const { runFromProcess } = await import('./program.ts')
  await runFromProcess()
}

export {}
