import { randomBytes } from 'node:crypto'
import {
  chownSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmdirSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { noNamespace } from '../../fixtures/namespace.ts'
import { until } from '../../fixtures/wait.ts'
import { type Ended, readRecord, run, SHIM, shells, spool, start, toolsWithout } from './shim-harness.ts'

const isAlive = (pid: number) =>
  existsSync(`/proc/${pid}`) && !/^State:\tZ/m.test(readFileSync(`/proc/${pid}/status`, 'utf8'))

/** Its children and theirs. */
function pidsUnder(pid: number): number[] {
  const children = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8')
    .split(' ')
    .filter(Boolean)
    .map(Number)
  return children.flatMap((child) => [child, ...pidsUnder(child)])
}

/** How many of ten that start at once run: each that does stays until all others have ended. */
async function winners(root: string, path: string): Promise<number> {
  const go = join(root, 'go')
  const command = `echo on; until [ -e ${go} ]; do sleep 0.1; done`
  const crowd = Array.from({ length: 10 }, () =>
    start([SHIM, '-s', root, '-o', 'job', '--', command], { path }),
  )
  let ended = 0
  for (const { exited } of crowd) void exited.then(() => ended++)
  await until(
    () => ended + crowd.filter(({ out }) => out().length > 0).length === crowd.length,
    'all of them',
  )
  writeFileSync(go, '')
  const outputs = await Promise.all(crowd.map((one) => one.ended()))
  return outputs.filter(({ stdout }) => stdout.length > 0).length
}

for (const shell of shells(t)) {
  const { path } = shell
  const shim = (root: string, ...args: string[]) => [...shell.argv, SHIM, '-s', root, ...args]

  await t.test(`${shell.name}: status, signal and output of a job are passed on and recorded`, async (t) => {
    const commands: [string, number][] = [
      ['true', 0],
      ['echo out; echo err >&2; exit 3', 3],
      ['exit 255', 255],
      ['/nonexistent/command', 127],
      ['kill -9 $$', 137],
      ['kill -TERM $$; sleep 5', 143],
      ['kill -SEGV $$', 139],
      ['exit 147', 147],
      ['syntax error (', 2],
      ["printf 'no line end'", 0],
    ]
    for (const [command, status] of commands) {
      const { root, folder, records } = spool(t)
      const bare = await run(['/bin/sh', '-c', command], { path })
      const ended = await run(shim(root, 'job-1', '--', command), { path })
      t.equal(ended.status, bare.status, `status of ${command}`)
      t.equal(ended.signal, bare.signal, `signal of ${command}`)
      t.equal(ended.stderr.length, 0, 'cron has one pipe for both')
      const [name = ''] = records()
      const { head, output, end } = readRecord(join(folder, name))
      t.match(head, new RegExp(`^cronrun 1 ${name} \\d+ -$`))
      t.match(end, new RegExp(`^ended \\d+\\.\\d\\d ${status} 0$`))
      t.equal(output, ended.stdout.toString('latin1'), `output of ${command}`)
      t.equal(ended.stdout.length, bare.stdout.length + bare.stderr.length, 'no byte more or less')
      t.same(readdirSync(folder), [name], 'and nothing else is left')
    }
  })

  await t.test(`${shell.name}: a job is run as cron runs it`, async (t) => {
    const { root } = spool(t)
    const seen =
      "env | grep -v -e ^_= -e ^SHLVL= | sort; umask; pwd; cat; ls -1 /proc/self/fd; grep SigBlk /proc/self/status; ps -o pgid=,sid=,pid= $$ | awk '{print $1 == $3, $2 == $3}'"
    const signals = 'grep -e SigIgn /proc/self/status'
    const command = `${seen}${shell.clearsSignals ? `; ${signals}` : ''}`
    const options = { path: '/usr/bin:/bin', cwd: '/usr', input: 'given\non stdin', detached: true }
    const bare = await run(['/bin/sh', '-c', command], options)
    const ended = await run(shim(root, '-o', '-t', '60', 'job', '--', command), options)
    t.equal(ended.stdout.toString(), bare.stdout.toString())
    t.match(ended.stdout.toString(), /^given\non stdin/m)
  })

  await t.test(
    `${shell.name}: the last 16 KiB are kept byte for byte, all of it goes on to cron`,
    async (t) => {
      const { root, folder, records } = spool(t)
      const bytes = randomBytes(300_000)
      const file = join(root, 'bytes')
      writeFileSync(file, bytes)
      const ended = await run(shim(root, 'job', '--', `cat ${file}`), { path })
      t.ok(ended.stdout.equals(bytes), 'cron gets all of it')
      const { output } = readRecord(join(folder, records()[0] ?? ''))
      t.ok(Buffer.from(output, 'latin1').equals(bytes.subarray(-16_384)), 'the record has its end')
    },
  )

  await t.test(`${shell.name}: when time is up all of the job ends`, async (t) => {
    const { root, folder, records } = spool(t)
    const pids = join(root, 'pids')
    const command = `sleep 600 >/dev/null 2>&1 & echo $! >${pids}; echo begun; exec sleep 60`
    const ended = await run(shim(root, '-t', '1', 'job', '--', command), { path })
    t.equal(ended.signal, 'SIGTERM')
    t.equal(ended.stdout.toString(), 'begun\n')
    const behind = Number(readFileSync(pids, 'utf8'))
    t.notOk(isAlive(behind), 'what it had in the background too')
    if (isAlive(behind)) process.kill(behind)
    t.match(readRecord(join(folder, records()[0] ?? '')), { output: 'begun\n', end: / 143 1$/ })
    const early = await run(shim(root, '-t', '60', 'quick', '--', 'exit 4'), { path })
    t.equal(early.status, 4)
    t.match(readRecord(join(folder, records().find((name) => name.startsWith('quick')) ?? '')), {
      end: / 4 0$/,
    })
  })

  await t.test(`${shell.name}: signals go to all of the job`, async (t) => {
    for (const [sent, number] of [
      ['SIGTERM', 15],
      ['SIGHUP', 1],
      ...(shell.clearsSignals ? ([['SIGINT', 2]] as const) : []),
      ['SIGUSR1', 9],
    ] as const) {
      const { root, folder, records } = spool(t)
      const command = 'trap "exit 5" TERM; echo ready; while :; do sleep 0.1; done'
      const job = start(shim(root, 'job', '--', command), { path })
      await until(() => job.out().toString() === 'ready\n', 'the job')
      t.match(
        readRecord(join(folder, records()[0] ?? '')),
        { end: /^cronrun 1 / },
        'it runs, as the record says',
      )
      job.kill(sent)
      const ended = await job.ended()
      if (sent === 'SIGTERM') t.match(ended, { status: 5, signal: null })
      else t.match(ended, { status: null, signal: number === 9 ? 'SIGKILL' : sent })
      t.match(
        readRecord(join(folder, records()[0] ?? '')).end,
        number === 15 ? / 5 0$/ : new RegExp(` ${128 + number} 0$`),
      )
    }
  })
}

const OLD_BASH = ['/bin/bash', '--posix', '-c', 'BASH_COMPAT=50; . "$0" "$@"']
const noBash = existsSync('/bin/bash') ? false : 'no bash here'
await t.test(
  'where a here-document is a file the pipe has a name for a moment',
  { skip: noBash },
  async (t) => {
    const { root, folder, records } = spool(t)
    const ended = await run(
      [...OLD_BASH, SHIM, '-s', root, '-t', '60', 'job', '--', 'echo out; cat; exit 3'],
      {
        input: 'in',
      },
    )
    t.match(ended, { status: 3, stdout: Buffer.from('out\nin') })
    t.match(readRecord(join(folder, records()[0] ?? '')), { output: 'out\nin', end: / 3 0$/ })
    t.equal(readdirSync(folder).length, 1)
    const closed = await run([...OLD_BASH, SHIM, '-s', root, 'job', '--', 'exit 4'], {
      path: toolsWithout(t, 'mkfifo'),
    })
    t.equal(closed.status, 4)
    t.equal(records().length, 1, 'without a pipe there is no record')
  },
)

await t.test('a job that does not end when its time is up is killed ten seconds later', async (t) => {
  const { root, folder, records } = spool(t)
  const ended = await run([SHIM, '-s', root, '-t', '1', 'job', '--', 'trap "" TERM; echo on; sleep 30'])
  t.match(ended, { status: null, signal: 'SIGKILL' })
  t.match(readRecord(join(folder, records()[0] ?? '')), { output: 'on\n', end: / 137 1$/ })
})

await t.test('without overlap a run is skipped while another lives, and never longer', async (t) => {
  for (const path of ['/usr/bin:/bin', toolsWithout(t, 'flock')]) {
    const { root, folder, records } = spool(t)
    const shim = (command: string) => [SHIM, '-s', root, '-o', 'job', '--', command]
    const first = start(shim('echo first; cat'), { path })
    await until(() => first.out().toString() === 'first\n', 'the first')
    const running = records()
    const other = await run([SHIM, '-s', root, '-o', 'other', '--', 'echo other'], { path })
    t.match(other, { status: 0, stdout: Buffer.from('other\n') }, 'another entry is another matter')
    const second = await run(shim('echo second'), { path })
    t.match(second, { status: 0, stdout: Buffer.alloc(0) })
    const skipped = records().filter((name) => name.startsWith('job.') && !running.includes(name))
    t.equal(skipped.length, 1)
    t.match(readRecord(join(folder, skipped[0] ?? '')).end, /^skipped \d+\.\d\d$/)
    await first.ended()
    t.match(await run(shim('echo third'), { path }), { stdout: Buffer.from('third\n') })

    const killed = start(shim('echo fourth; exec sleep 60 >/dev/null 2>&1'), { path })
    await until(() => killed.out().toString() === 'fourth\n', 'the fourth')
    const job = pidsUnder(killed.pid)
    killed.kill('SIGKILL')
    await killed.exited
    t.match(
      await run(shim('echo fifth'), { path }),
      { stdout: Buffer.from('fifth\n') },
      'a dead one holds nothing',
    )
    for (const pid of job) process.kill(pid, 'SIGKILL')
    t.equal(await winners(root, path), 1, 'one of many at once')
  }
})

await t.test('a dead lock is taken over by one of many', async (t) => {
  const path = toolsWithout(t, 'flock')
  for (let round = 0; round < 5; round++) {
    const { root, folder } = spool(t)
    writeFileSync(join(folder, 'job.lock'), `${process.pid} 1 ${'0'.repeat(36)}\n`)
    t.equal(await winners(root, path), 1)
  }
})

await t.test('the job runs whatever the spool is like', async (t) => {
  const job = ['--', 'echo out; echo err >&2; exit 7']
  const isJobs = (ended: Ended) =>
    ended.status === 7 && Buffer.concat([ended.stdout, ended.stderr]).toString() === 'out\nerr\n'
  const cases: [string, (folder: string) => void][] = [
    ['is missing', (folder) => rmdirSync(folder)],
    ['is a file', (folder) => (rmdirSync(folder), writeFileSync(folder, ''))],
    ['is a link', (folder) => (renameSync(folder, `${folder}-real`), symlinkSync(`${folder}-real`, folder))],
    ['is full', (folder) => Array.from({ length: 1001 }, (_, i) => writeFileSync(join(folder, `${i}`), ''))],
    ['has a folder for a lock', (folder) => mkdirSync(join(folder, 'job.lock'))],
    ...(process.getuid?.() === 0
      ? ([["is somebody else's", (folder) => chownSync(folder, 65_534, 65_534)]] as [
          string,
          (folder: string) => void,
        ][])
      : []),
  ]
  for (const [what, spoil] of cases)
    for (const options of [[], ['-o'], ['-t', '60'], ['-o', '-t', '60']]) {
      const { root, folder, records } = spool(t)
      spoil(folder)
      const ended = await run([SHIM, '-s', root, ...options, 'job', ...job])
      t.ok(isJobs(ended), `${what}, ${options.join(' ')}`)
      if (what !== 'is missing' && what !== 'is a file')
        t.equal(records().length, what.includes('lock') ? 1 : 0)
    }
  const { root } = spool(t)
  for (const args of [['job', '-n', '../x'], ['../job'], [''], ['job.x']])
    t.ok(
      isJobs(await run([SHIM, '-s', root, ...args.slice(1), args[0] ?? '', ...job])),
      `odd arguments ${args.join(' ')}`,
    )
  for (const LOGNAME of ['', '.', '../x', 'nobody-there'])
    t.ok(
      isJobs(await run([SHIM, '-s', root, 'job', ...job], { env: { LOGNAME, PATH: '/usr/bin:/bin' } })),
      `as ${LOGNAME}`,
    )
  t.ok(isJobs(await run([SHIM, '-s', root, 'job', ...job], { env: {} })), 'without environment')
  const closed = ['sh', '-c', 'exec "$@" <&- 2>&-', 'sh', SHIM, '-s', root, 'job', '--', 'echo out; exit 7']
  t.match(await run(closed), { status: 7, stdout: Buffer.from('out\n') }, 'without input and errors')
  const noOutput = ['sh', '-c', 'exec "$@" >&-', 'sh', SHIM, '-s', root, 'job', '--', 'exit 7']
  t.match(await run(noOutput), { status: 7 }, 'without output')
})

await t.test(
  'nor does a disk that is full or read-only keep a job from running',
  { skip: noNamespace() },
  async (t) => {
    const jobIn = (folder: string) =>
      `echo out; head -c 50000 /dev/zero; rm -f ${folder}/fill 2>/dev/null; exit 7`
    for (const [mount, prepare] of [
      ['-o ro', ''],
      ['-o size=64k', 'head -c 70000 /dev/zero >D/fill 2>/dev/null;'],
      // one page for the start of the record, none for the output
      ['-o size=64k', 'head -c 61440 /dev/zero >D/fill;'],
      ['-o nr_inodes=3', ': >D/fill; '],
      ['-o nr_inodes=2', ': >D/fill; '],
    ]) {
      const { root, folder } = spool(t)
      const script = `mount -t tmpfs ${mount} none ${folder} && ${prepare?.replaceAll('D', folder)}
      "$0" -s ${root} "$@"; status=$?; tail -qn 1 ${folder}/job.* >&2; exit $status`
      for (const options of [[], ['-o', '-t', '60']]) {
        const ended = await run([
          'unshare',
          '-rm',
          'sh',
          '-c',
          script,
          SHIM,
          ...options,
          'job',
          '--',
          jobIn(folder),
        ])
        t.equal(ended.status, 7, `${mount} ${prepare}`)
        t.equal(ended.stdout.length, 50_004)
        const left = ended.stderr.toString('latin1')
        if (prepare?.includes('61440'))
          t.match(left, /^exited \d+\.\d\d 7 0$/m, 'its end is known all the same')
        t.notMatch(left, /^ended/m)
      }
    }
  },
)

await t.test('what a job leaves behind holds up no result', async (t) => {
  const { root, folder, records } = spool(t)
  const go = join(root, 'go')
  const command = `until [ -e ${go} ]; do sleep 0.1; done & echo left; exit 3`
  const job = start([SHIM, '-s', root, '-o', 'job', '--', command])
  await until(() => records().length === 1, 'its record')
  const [name = ''] = records()
  const end = () => readRecord(join(folder, name)).end
  await until(() => /^exited \d+\.\d\d 3 0$/.test(end()), 'its exit status')
  t.match(
    await run([SHIM, '-s', root, '-o', 'job', '--', 'echo next']),
    { stdout: Buffer.from('next\n') },
    'no lock either',
  )
  t.match(end(), /^exited/)
  writeFileSync(go, '')
  t.match(await job.ended(), { status: 3 })
  t.match(end(), /^ended/)
})

await t.test('a script is run with its exports, a tag is noted', async (t) => {
  const { root, folder, records } = spool(t)
  mkdirSync(join(root, '.scripts'))
  const script = `# supervisor-agent script v1 job 1\nexport GREETING='it'\\''s'\necho "$GREETING"; exit 9`
  writeFileSync(join(root, '.scripts', 'job.sh'), script)
  const ended = await run([SHIM, '-s', root, '-t', '60', '-n', 'tag-1', 'job'])
  t.match(ended, { status: 9, stdout: Buffer.from("it's\n") })
  t.match(readRecord(join(folder, records()[0] ?? '')).head, / tag-1$/)
  t.match(await run([SHIM, '-s', root, 'missing']), { status: 2 })
  const began = performance.now()
  await run([SHIM, '-s', root, '-d', '1', 'job'])
  t.ok(performance.now() - began > 900, 'a delay is waited')
})

await t.test('fifty at once leave fifty records', async (t) => {
  const { root, folder, records } = spool(t)
  const ended = await Promise.all(
    Array.from({ length: 50 }, (_, i) =>
      run([SHIM, '-s', root, '-o', `job${i}`, '--', `echo ${i}; exit ${i}`]),
    ),
  )
  t.same(
    ended.map(({ status, stdout }) => [status, stdout.toString()]),
    ended.map((_, i) => [i, `${i}\n`]),
  )
  t.same(
    records()
      .map((name) => readRecord(join(folder, name)))
      .map(({ output, end }) => [Number(output), Number(end.split(' ')[2])])
      .toSorted(([a = 0], [b = 0]) => a - b),
    ended.map((_, i) => [i, i]),
  )
})
