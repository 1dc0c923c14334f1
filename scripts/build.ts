// Bundles the agent into dist/: one file for the command and the daemon, two for the client (Node and browser).
import { cpSync, mkdirSync, readFileSync, rmSync } from 'node:fs'
import { resolve } from 'node:path'
import { build } from 'esbuild'

const root = resolve(import.meta.dirname, '..')
const { version } = JSON.parse(readFileSync(resolve(root, 'package.json'), 'utf8')) as { version: string }
const define = { AGENT_VERSION: JSON.stringify(version) }

rmSync(resolve(root, 'dist'), { recursive: true, force: true })
mkdirSync(resolve(root, 'dist'))

const shared = {
  bundle: true,
  absWorkingDir: root,
  define,
  logLevel: 'warning',
  legalComments: 'none',
} as const

await Promise.all([
  build({
    ...shared,
    entryPoints: { agent: 'src/main.ts' },
    outdir: 'dist',
    outExtension: { '.js': '.cjs' },
    platform: 'node',
    format: 'cjs',
    target: 'node20.19',
    minifySyntax: true,
    minifyWhitespace: true,
    keepNames: true,
    define: { ...define, 'import.meta.dirname': '__dirname', 'import.meta.url': '__filename' },
    banner: { js: '#!/usr/bin/env node' },
  }),
])
cpSync(resolve(root, 'assets'), resolve(root, 'dist/assets'), { recursive: true })
