import { expect, test } from 'vitest'
import { TestFederation } from '../tools/federation.ts'
test('smoke', async () => {
  await using f = await TestFederation.open()
  await f.join('alpha')
  await f.join('beta')
  const ada = await f.addUser('ada')
  const a = await ada.save('/a.txt', 'hello')
  console.log(a.status, a.by, [...a.headers])
  await f.settled()
  console.log(JSON.stringify(await f.workspaceOf(ada), null, 1))
  console.log(await f.admin('repo', 'stats'))
})
