import { symlinkSync } from 'node:fs'
import type { PolicyHost } from './support.ts'

/** A command of a program, what speaks against it, and what becomes of it where nothing does. */
interface ScriptRow {
  command: string
  /** Where it starts: `app` of the host unless told. */
  directory?: string | undefined
  against?: string[]
  becomes?: string
}

const D = ['policy.directories']
const E = ['policy.executables']

/** Commands for a host whose executables lie in `bin` and whose code lies in `app`. */
export function scriptRows(host: PolicyHost): ScriptRow[] {
  const { bin, app } = host
  for (const name of [
    'php',
    'python3',
    'node',
    'bash',
    'perl',
    'java',
    'lua',
    'awk',
    'sudo',
    'xargs',
    'deno',
  ])
    host.script(`bin/${name}`)
  for (const name of ['env', 'nice', 'prlimit', 'timeout', 'flock', 'nohup', 'stdbuf'])
    host.script(`bin/${name}`)
  const busybox = host.script('bin/busybox')
  symlinkSync(busybox, host.path('bin/ash'))
  symlinkSync(busybox, host.path('bin/ls'))
  symlinkSync(host.path('bin/php'), host.path('app/tool'))
  const inside = host.file('app/artisan')
  host.file('app/bin/console')
  host.file('app/-r')
  host.file('app/inspect')
  host.file('app/50% off')
  const outside = host.file('other/artisan')
  symlinkSync(outside, host.path('app/way-out'))
  symlinkSync(host.dir('app/deep/er'), host.path('app/link'))
  host.file('app/deep/up')
  host.dir('app/folder')
  const none = { directory: undefined }
  const rows: ScriptRow[] = [
    { command: `php ${inside} queue:work --tries=3`, becomes: `${bin}/php ${inside} queue:work --tries=3` },
    { command: `php artisan queue:work -v`, becomes: `${bin}/php artisan queue:work -v` },
    { command: `php ./bin/console x`, becomes: `${bin}/php ./bin/console x` },
    { command: `php 'artisan' "a b"`, becomes: `${bin}/php 'artisan' "a b"` },
    { command: `php ../up`, directory: `${app}/link`, becomes: `${bin}/php ../up` }, // as the kernel goes up
    { command: `php ../other/artisan`, against: D },
    { command: `php ${outside}`, against: D },
    { command: `php ${app}/way-out`, against: D },
    { command: `php ${app}/../other/artisan`, against: D },
    { command: `php ${app}/none`, against: D },
    { command: `php none`, against: D },
    { command: `php folder`, against: D },
    { command: `php ${app}`, against: D },
    { command: `php artisan`, ...none, against: D }, // in whatever folder supervisord is
    { command: `php ${inside}`, ...none, becomes: `${bin}/php ${inside}` },
    { command: `php %(ENV_SCRIPT)s`, against: D },
    { command: `php ${app}/%(program_name)s`, against: D },
    { command: `php '50% off'`, against: D },
    { command: `php artisan --name=%(program_name)s`, becomes: `${bin}/php artisan --name=%(program_name)s` },
    // nothing, or its input
    { command: 'php', against: D },
    { command: 'bash', against: D },
    { command: 'php -', against: D },
    { command: 'php --', against: D },
    { command: `php -- artisan`, against: D },
    { command: `php ""`, against: D },
    // options that bring code, and those that are known to bring none
    { command: `php -r "system('id');"`, against: D },
    { command: `php -d auto_prepend_file=${outside} artisan`, against: D },
    { command: `php -dauto_prepend_file=${outside} artisan`, against: D },
    { command: `php -d "memory_limit=1 auto_prepend_file=x" artisan`, against: D },
    { command: `php -d memory_limit=512M -q artisan`, becomes: `${bin}/php -d memory_limit=512M -q artisan` },
    { command: `php -d memory_limit=%(ENV_X)s artisan`, against: D },
    { command: `php -d memory_limit=512M -r x`, against: D },
    { command: `php -f artisan`, becomes: `${bin}/php -f artisan` },
    { command: `php -c ${outside} artisan`, against: D },
    { command: `php -S 0.0.0.0:80 artisan`, against: D },
    { command: `bash -c "exec sleep 1"`, against: D },
    { command: `bash -ec "exec sleep 1"`, against: D },
    { command: `bash -eu artisan`, becomes: `${bin}/bash -eu artisan` },
    { command: `bash --rcfile ${outside} artisan`, against: D },
    { command: `bash +x artisan`, against: D },
    { command: `bash -eux -c id`, against: D },
    { command: `ash artisan`, becomes: `${bin}/ash artisan` },
    { command: `ash -c id`, against: D },
    { command: `ls -c`, becomes: `${bin}/ls -c` },
    { command: `busybox sh artisan`, against: D },
    { command: `python3 -m http.server`, against: D },
    { command: `python3 -uc "x"`, against: D },
    { command: `python3 -u -B artisan`, becomes: `${bin}/python3 -u -B artisan` },
    { command: `python3 -W error::evil.X artisan`, against: D },
    { command: `node --require ${outside} artisan`, against: D },
    { command: `node --eval=1 artisan`, against: D },
    { command: `node inspect ${outside}`, against: D },
    {
      command: `node --max-old-space-size=512 artisan`,
      becomes: `${bin}/node --max-old-space-size=512 artisan`,
    },
    { command: `perl -e 1`, against: D },
    { command: `perl -wnE 1 artisan`, against: D },
    { command: `perl -w artisan`, becomes: `${bin}/perl -w artisan` },
    { command: `perl -r artisan`, against: D },
    { command: `java -Xmx512m -jar artisan`, becomes: `${bin}/java -Xmx512m -jar artisan` },
    { command: `java -cp ${outside} Main`, against: D },
    { command: `java -XX:OnError=id -jar artisan`, against: D },
    { command: `lua artisan`, becomes: `${bin}/lua artisan` },
    { command: `awk 'BEGIN { system("id") }'`, against: D },
    { command: `${app}/tool -r 1`, against: D }, // php by another name
    // commands that start another one
    { command: `env php artisan`, becomes: `${bin}/env ${bin}/php artisan` },
    {
      command: `env -i APP_ENV=prod -u X timeout -k 5 60 nice -n 10 php artisan`,
      becomes: `${bin}/env -i APP_ENV=prod -u X ${bin}/timeout -k 5 60 ${bin}/nice -n 10 ${bin}/php artisan`,
    },
    {
      command: `flock -n ${app}/lock php artisan`,
      becomes: `${bin}/flock -n ${app}/lock ${bin}/php artisan`,
    },
    { command: `nohup -- php artisan`, becomes: `${bin}/nohup -- ${bin}/php artisan` },
    { command: `stdbuf -oL -e 0 php artisan`, becomes: `${bin}/stdbuf -oL -e 0 ${bin}/php artisan` },
    { command: 'env', becomes: `${bin}/env` },
    {
      command: `nice -n 5 prlimit --data=1000000 --nofile=64 php artisan`,
      becomes: `${bin}/nice -n 5 ${bin}/prlimit --data=1000000 --nofile=64 ${bin}/php artisan`,
    },
    { command: `prlimit --nofile=64 php -r 1`, against: D },
    { command: `prlimit --pid 1 --nofile=64 php artisan`, against: D },
    { command: `env php -r 1`, against: D },
    { command: `env php ${outside}`, against: D },
    { command: `env ${outside}`, against: E },
    { command: `env ./artisan`, against: E },
    { command: `env no-such-tool`, against: E },
    { command: `env -S "php -r 1"`, against: D },
    { command: `env --split-string="php -r 1"`, against: D },
    { command: `env -C / php artisan`, against: D },
    { command: `env PATH=/opt php artisan`, against: D },
    { command: `env LD_PRELOAD=${outside} php artisan`, against: D },
    { command: `env PS4=x bash -x artisan`, against: D },
    { command: `env A=%(ENV_X)s php artisan`, against: D },
    { command: `timeout --sig KILL 5 php artisan`, against: D },
    { command: `timeout 5 bash -c id`, against: D },
    { command: `flock ${app}/lock -c id`, against: D },
    { command: `flock ${app}/lock --command id`, against: D },
    { command: `sudo -u deploy php artisan`, against: D },
    { command: `sudo php artisan`, against: D },
    { command: `nice sudo php artisan`, against: D },
    { command: `xargs php artisan`, against: D },
    { command: `deno run artisan`, against: D },
    // what does its own work is not looked into
    { command: `/bin/cat ${outside}`, against: E },
  ]
  return rows
}
