// Bundles the agent into dist/: the command, its full command line, what looks at this host, the daemon and its settings,
// files that share nothing (docs/adr/0003-three-bundles.md, 0010-settings-let-go.md); and two for the client, Node and browser.
import { chmodSync, copyFileSync, cpSync, mkdirSync, readFileSync, rmSync } from 'node:fs'
import { resolve } from 'node:path'
import { type BuildOptions, build, type Metafile, type Plugin } from 'esbuild'

const root = resolve(import.meta.dirname, '..')
const { version } = JSON.parse(readFileSync(resolve(root, 'package.json'), 'utf8')) as { version: string }
const define = { AGENT_VERSION: JSON.stringify(version) }

/** Entry of each bundle, and the import by which the others reach it. */
const BUNDLES = {
  cli: 'src/cli/run.ts',
  daemon: 'src/cli/commands/daemon.ts',
  settings: 'src/settings.ts',
  host: 'src/cli/host-commands.ts',
}
/** Of node-cron alone; see the file. */
const UTC = {
  inject: ['src/core/host/utc-format.ts'],
  define: { ...define, 'Intl.DateTimeFormat': 'UtcFormat' },
}
/** node-cron reads the milliseconds of local time: the same ones, and 0.5 MB of tables of zones. */
const utcMilliseconds: Plugin = {
  name: 'utc-milliseconds',
  setup(hooks) {
    hooks.onLoad({ filter: /node-cron[/]dist[/]_shared\.js$/ }, ({ path }) => ({
      contents: readFileSync(path, 'utf8').replaceAll('.getMilliseconds()', '.getUTCMilliseconds()'),
    }))
  },
}

/** An import of another bundle's entry becomes a require of that bundle. */
const apart: Plugin = {
  name: 'apart',
  setup(hooks) {
    hooks.onResolve({ filter: /^\.\.?\// }, ({ path, resolveDir, kind }) => {
      const target = resolve(resolveDir, path)
      const bundle = Object.entries(BUNDLES).find(([, entry]) => target === resolve(root, entry))
      return bundle && kind === 'dynamic-import' ? { path: `./${bundle[0]}.cjs`, external: true } : undefined
    })
  },
}

const shared = { bundle: true, absWorkingDir: root, logLevel: 'warning', legalComments: 'none' } as const

const command: BuildOptions = {
  ...shared,
  outdir: 'dist',
  outExtension: { '.js': '.cjs' },
  platform: 'node',
  format: 'cjs',
  target: 'node20.19',
  // require loads faster than the loader of modules
  supported: { 'dynamic-import': false },
  minify: true,
  plugins: [apart],
  define: { ...define, 'import.meta.dirname': '__dirname', 'import.meta.url': 'BUNDLE_URL' },
}
const bundleUrl = "const BUNDLE_URL = require('node:url').pathToFileURL(__filename).href"

rmSync(resolve(root, 'dist'), { recursive: true, force: true })
mkdirSync(resolve(root, 'dist'))
await Promise.all([
  build({ ...command, entryPoints: { agent: 'src/main.ts' }, banner: { js: '#!/usr/bin/env node' } }),
  build({ ...command, entryPoints: { cli: BUNDLES.cli }, banner: { js: bundleUrl }, metafile: true }).then(
    expectNone('node_modules/yaml/', 'src/core/'),
  ),
  build({ ...command, entryPoints: { host: BUNDLES.host }, banner: { js: bundleUrl } }),
  build({ ...command, entryPoints: { settings: BUNDLES.settings } }),
  build({
    ...command,
    entryPoints: { daemon: BUNDLES.daemon },
    plugins: [apart, utcMilliseconds],
    inject: UTC.inject,
    define: { ...command.define, ...UTC.define },
    banner: { js: bundleUrl },
    metafile: true,
  }).then(expectNone('node_modules/yaml/')),
  build({
    ...shared,
    define,
    entryPoints: { client: 'src/client/index.ts' },
    outdir: 'dist',
    platform: 'node',
    format: 'esm',
    external: ['node:*'],
    target: 'node20.19',
    banner: {
      js: "import { createRequire } from 'node:module'\nconst require = createRequire(import.meta.url)",
    },
  }),
  build({
    ...shared,
    define,
    entryPoints: { 'client.browser': 'src/client/browser.ts' },
    outdir: 'dist',
    platform: 'browser',
    format: 'esm',
    target: 'es2022',
  }),
])
chmodSync(resolve(root, 'dist/agent.cjs'), 0o755)
copyFileSync(resolve(root, 'config.example.yaml'), resolve(root, 'dist/config.example.yaml'))
cpSync(resolve(root, 'assets'), resolve(root, 'dist/assets'), { recursive: true })

/** A bundle is without what others are there for; one import would bring it back unseen. @throws {Error} */
function expectNone(...parts: string[]): (built: { metafile: Metafile }) => void {
  return ({ metafile: { inputs, outputs } }) => {
    const found = Object.keys(inputs).find((path) => parts.some((part) => path.includes(part)))
    if (found !== undefined) throw new Error(`${found} is in ${Object.keys(outputs).join()}`)
  }
}
