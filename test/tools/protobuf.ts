import protobuf from 'protobufjs'

/** An implementation of protobuf that is not the one of the program, reading the .proto files as they stand. */

const PROTOCOLS = new URL('../../protocols/', import.meta.url)

export type Fields = { readonly [name: string]: unknown }

export interface Schema {
  /** The fields as they stand in the .proto file; bytes as hexadecimal digits, what is not set left out. */
  fieldsOf(type: string, bytes: Uint8Array): Fields
  bytesOf(type: string, fields: Fields): Uint8Array
}

export async function schemaOf(folder: string): Promise<Schema> {
  const path = new URL(`${folder}/${folder}.proto`, PROTOCOLS).pathname
  const root = await new protobuf.Root().load(path, { keepCase: true })
  return {
    fieldsOf(name, bytes) {
      const type = root.lookupType(name)
      return toHex(type.toObject(type.decode(bytes), { longs: Number })) as Fields
    },
    bytesOf(name, fields) {
      const type = root.lookupType(name)
      return type.encode(type.fromObject(fromHex(type, fields))).finish()
    }
  }
}

function toHex(value: unknown): unknown {
  if (value instanceof Uint8Array) return Buffer.from(value).toString('hex')
  if (Array.isArray(value)) return value.map(toHex)
  if (typeof value !== 'object' || value === null) return value
  return Object.fromEntries(Object.entries(value).map(([name, inner]) => [name, toHex(inner)]))
}

function fromHex(type: protobuf.Type, fields: Fields): Fields {
  const entries = Object.entries(fields).map(([name, value]) => {
    const field = type.fields[name]?.resolve()
    if (field === undefined) throw new Error(`${type.name} has no field ${name}`)
    const one = (item: unknown): unknown => {
      if (field.type === 'bytes') return Buffer.from(String(item), 'hex')
      return field.resolvedType instanceof protobuf.Type ? fromHex(field.resolvedType, item as Fields) : item
    }
    return [name, Array.isArray(value) ? value.map(one) : one(value)] as const
  })
  return Object.fromEntries(entries)
}
