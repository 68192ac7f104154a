import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Scratch } from '../scratch.ts'
import { freePort, startServer } from '../system.ts'
import { CONNECTIONS } from './limits.ts'
import type { PlainProxy } from './proxies.ts'

/** nginx as a plain reverse proxy in one process, with connections to its upstream kept alive; `/moved` it redirects itself. */
export async function startNginx(scratch: Scratch, program: string, upstreamPort: number): Promise<PlainProxy> {
  const folder = join(scratch.folder, 'nginx')
  await mkdir(folder, { recursive: true })
  const port = await freePort()
  const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi']
    .map((what) => `  ${what}_temp_path ${join(folder, what)};`)
    .join('\n')
  const config = `
daemon off;
master_process off;
pid ${join(folder, 'nginx.pid')};
error_log ${join(folder, 'error.log')};
events { worker_connections 1024; }
http {
  access_log off;
${temporary}
  client_max_body_size 0;
  keepalive_requests 1000000000;
  upstream app { server 127.0.0.1:${upstreamPort}; keepalive ${CONNECTIONS}; keepalive_requests 1000000000; }
  server {
    listen 127.0.0.1:${port};
    location = /moved { return 307 http://127.0.0.1:${upstreamPort}/small.txt; }
    location /app/ {
      proxy_pass http://app;
      proxy_http_version 1.1;
      proxy_set_header upgrade $http_upgrade;
      proxy_set_header connection "upgrade";
    }
    location / {
      proxy_pass http://app;
      proxy_http_version 1.1;
      proxy_set_header connection "";
      proxy_request_buffering off;
      proxy_buffering off;
    }
  }
}
`
  const path = join(folder, 'nginx.conf')
  await writeFile(path, config)
  const args = ['-p', folder, '-e', join(folder, 'error.log'), '-c', path]
  const { pid } = await startServer(scratch, program, args, port)
  return { url: `http://127.0.0.1:${port}`, pid }
}
