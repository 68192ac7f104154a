import { TLSSocket } from 'node:tls'
import type { ConnectionEncrypter, SecuredConnection } from '@libp2p/interface'
import { type TLSComponents, tls } from '@libp2p/tls'

/**
 * TLS that gathers what is sent in one turn of the event loop, and encrypts and writes it at once: streams of one connection send
 * many small frames, and each would be a record and a system call of its own.
 */
export function gatheredTls(): (components: TLSComponents) => ConnectionEncrypter {
  const create = tls()
  return (components) => {
    const encrypter = create(components)
    const inbound = encrypter.secureInbound.bind(encrypter)
    const outbound = encrypter.secureOutbound.bind(encrypter)
    encrypter.secureInbound = async (connection, options) => gathering(await inbound(connection, options))
    encrypter.secureOutbound = async (connection, options) => gathering(await outbound(connection, options))
    return encrypter
  }
}

/** Changes nothing where the connection does not show the socket that it writes to. */
function gathering(secured: SecuredConnection): SecuredConnection {
  const { connection } = secured
  const socket = 'socket' in connection ? connection.socket : null
  if (!(socket instanceof TLSSocket)) return secured
  const send = connection.send.bind(connection)
  let gathers = false
  connection.send = (data) => {
    if (!gathers) {
      gathers = true
      socket.cork()
      setImmediate(() => {
        gathers = false
        socket.uncork()
      })
    }
    return send(data)
  }
  return secured
}
