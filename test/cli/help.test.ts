import { readFileSync } from 'node:fs'
import t from 'tap'
import { launch } from '../fixtures/agent-process.ts'

const run = (...args: string[]) => launch(args).outcome

await t.test('the version, as a command and as a flag', async (t) => {
  const { version } = JSON.parse(readFileSync('package.json', 'utf8')) as { version: string }
  for (const word of ['version', '--version']) {
    t.match(await run(word), { code: 0, stdout: `${version}\n`, stderr: '' })
    t.match(JSON.parse((await run('--json', word)).stdout), { version })
  }
  t.match(await run('--config', '/none', '--version'), { code: 0, stdout: `${version}\n` })
  for (const words of ['stop all --version', '--config /none stop all --version', 'version --version'])
    t.match(await run(...words.split(' ')), { code: 2, stdout: '', stderr: /unknown option '--version'/ })
})

await t.test('help shows what a command takes, however it is asked for', async (t) => {
  t.match(await run('--help'), { code: 0, stdout: /restart \[options\] <select...>/ })
  const help = await run('restart', '--help')
  t.match(help, { code: 0, stdout: /--max-unavailable <n>/ })
  t.equal((await run('help', 'restart')).stdout, help.stdout)
  for (const words of [
    ['help', 'supervisor'],
    ['supervisor', '--help'],
  ])
    t.match(await run(...words), { code: 0, stdout: /restart \[options\] / })
  t.match(await run('help', 'program'), { code: 0, stdout: /put \[options\] <name>/ })
  t.match(await run('supervisor'), { code: 2, stderr: /restart \[options\] / })
})

await t.test('completion knows the flags of every command', async (t) => {
  for (const shell of ['bash', 'zsh', 'fish'])
    t.match(await run('completion', shell), { code: 0, stdout: /max-unavailable[^]*no-overlap/ }, shell)
})
