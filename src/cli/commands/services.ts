import type { ServiceView } from '../../console/views.ts'
import { API_SETTINGS, command, group } from '../command.ts'
import { adminApi } from '../context.ts'

const ls = command({
  name: 'ls',
  about: 'list what the federation runs',
  settings: API_SETTINGS,
  examples: ['node-daemon services ls'],
  exits: { 4: true, 5: true },
  async run(context, values) {
    const services = await adminApi(context, values).get<ServiceView[]>('/services')
    context.print.machine(services)
    context.print.table(
      [
        { title: 'SERVICE', of: (one) => one.name },
        { title: 'ROUTE', of: (one) => one.route },
        { title: 'SCOPE', of: (one) => one.scope },
        { title: 'VERSION', of: (one) => one.version },
        { title: 'INSTANCES', of: (one) => one.instances, right: true },
        { title: 'WORKSPACES', of: (one) => one.workspaces, right: true }
      ],
      services,
      'No services are declared.'
    )
    return 0
  }
})

export const servicesCommand = group('services', 'what the federation runs', [ls])
