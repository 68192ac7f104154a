// An app for tests: it does what a request asks it to. The body of a POST is a script; its value is the answer, as JSON.
// usage: scripted-app.mjs PORT-OR-SOCKET
import { createServer } from 'node:http'
import { text } from 'node:stream/consumers'

const AsyncFunction = (async () => undefined).constructor
const [, , where = ''] = process.argv

const server = createServer(async (request, response) => {
  if (request.method !== 'POST') return response.end(JSON.stringify({ pid: process.pid, url: request.url }))
  try {
    const load = (name) => import(name)
    const value = await new AsyncFunction('load', 'request', await text(request))(load, request)
    response.end(JSON.stringify({ value: value ?? null }))
  } catch (error) {
    response.end(JSON.stringify({ error: error.code ?? error.message }))
  }
})
server.on('upgrade', (_, socket) => {
  socket.write('HTTP/1.1 101 Switching Protocols\r\nconnection: Upgrade\r\nupgrade: echo\r\n\r\n')
  socket.pipe(socket)
})
if (/^\d+$/.test(where)) server.listen(Number(where), '127.0.0.1')
else server.listen(where)
process.on('SIGTERM', () => process.exit(0))
