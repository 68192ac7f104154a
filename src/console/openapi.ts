import { z } from 'zod'
import { ERRORS } from '../core/errors.ts'
import type { Route } from './route.ts'

export const API_PREFIX = '/api/v1'
export const CAR_TYPE = 'application/vnd.ipld.car'

const ERROR_SCHEMA = {
  type: 'object',
  required: ['error'],
  properties: {
    error: {
      type: 'object',
      required: ['code', 'message', 'advice'],
      properties: {
        code: { type: 'string', enum: Object.keys(ERRORS) },
        message: { type: 'string' },
        advice: { type: ['string', 'null'], description: 'what a person can do' }
      }
    }
  }
}

const CONTENT_TYPES = {
  json: 'application/json',
  file: 'application/json',
  car: CAR_TYPE,
  lines: 'application/x-ndjson',
  changes: 'text/event-stream'
} as const

/** The OpenAPI 3.1 description of a table of routes. */
export function openApi<Service>(title: string, routes: readonly Route<Service>[]): object {
  const paths: Record<string, Record<string, object>> = {}
  for (const route of routes) {
    const path = `${API_PREFIX}${route.path.replaceAll(/:(\w+)/g, '{$1}')}`
    paths[path] = { ...paths[path], [route.method.toLowerCase()]: operation(route) }
  }
  return {
    openapi: '3.1.0',
    info: { title, version: '1' },
    paths,
    components: { securitySchemes: { bearer: { type: 'http', scheme: 'bearer' } }, schemas: { Error: ERROR_SCHEMA } },
    security: [{ bearer: [] }]
  }
}

function operation<Service>(route: Route<Service>): object {
  return {
    summary: route.summary,
    'x-role': route.role,
    parameters: parameters(route),
    ...(route.method !== 'GET' &&
      route.method !== 'DELETE' && {
        requestBody: { content: { 'application/json': { schema: schemaOf(route.input, 'input') } } }
      }),
    responses: {
      200: {
        description: 'done',
        content: { [CONTENT_TYPES[route.kind]]: { schema: schemaOf(route.output, 'output') } }
      },
      default: {
        description: 'refused or failed',
        content: { 'application/json': { schema: { $ref: '#/components/schemas/Error' } } }
      }
    }
  }
}

function parameters<Service>(route: Route<Service>): object[] {
  const ofPath = [...route.path.matchAll(/:(\w+)/g)].map(([, name]) => ({
    name,
    in: 'path',
    required: true,
    schema: { type: 'string' }
  }))
  if (route.method !== 'GET') return ofPath
  const { properties = {} } = schemaOf(route.input, 'input') as { properties?: Record<string, object> }
  const ofQuery = Object.entries(properties).map(([name, schema]) => ({ name, in: 'query', required: false, schema }))
  return [...ofPath, ...ofQuery]
}

function schemaOf(schema: z.ZodType, io: 'input' | 'output'): Record<string, unknown> {
  const { $schema: _, ...rest } = z.toJSONSchema(schema, { io })
  return rest
}
