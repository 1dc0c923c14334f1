// A second process that writes tokens: `token-writer.ts FILE PREFIX COUNT`.
import { TokenStore } from '../../../src/core/access/tokens.ts'
import { createLogger } from '../../../src/logger.ts'

const [path = '', prefix = '', count = '0'] = process.argv.slice(2)
const store = new TokenStore({ path, logger: createLogger('silent') })
await store.start()
for (let i = 0; i < Number(count); i++)
  await store.create({ name: `${prefix}-${i}`, role: 'viewer' }, 'local:admin')
await store.stop()
