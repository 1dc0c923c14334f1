// Configurations that somebody's hand slipped in: lines lost, doubled, moved, indented, values and signs replaced.

const VALUES = [
  ...'true false yes off maybe 1 0 -1 1_0 +3 01 1.5 x 99999 none AUTO syslog unexpected TERM SIGHUP 9 77'.split(
    ' ',
  ),
  ...'10M 10MB 5kb 1gb MB 0,2 0,256 0,,1 022 0o22 9 8 /var/log/a.log /nowhere/a.log relative.log ~/a.log'.split(
    ' ',
  ),
  ...'%(here)s/a %(ENV_HOME)s %(ENV_NOPE)s %(process_num)02d %(process_num)x %(program_name)s 50% %s %% %d %(x'.split(
    ' ',
  ),
  ...'A="1" A=1,B=2 A= A A="x A=b@c A=b#c a,b web www-data nobody root 33 4242 a:b a/b *'.split(' '),
  ...'TICK_5 TICK_7 tcp://h:1 tcp://h:x unix:///s unix://s unix:///%(program_name)s.sock www-data:www-data x:y'.split(
    ' ',
  ),
  'a b',
  'A="x y",B="%(ENV_HOME)s" ; c',
  '',
]
const KEYS = [
  ...'command process_name numprocs numprocs_start priority autostart autorestart startsecs startretries'.split(
    ' ',
  ),
  ...'exitcodes stopsignal stopwaitsecs stopasgroup killasgroup user umask directory environment serverurl'.split(
    ' ',
  ),
  ...'stdout_logfile stderr_logfile stdout_logfile_maxbytes stderr_logfile_backups stdout_capture_maxbytes'.split(
    ' ',
  ),
  ...'redirect_stderr stdout_events_enabled stderr_syslog programs events buffer_size socket socket_owner'.split(
    ' ',
  ),
  ...'socket_mode socket_backlog files minfds loglevel logfile childlogdir port username password chmod chown file'.split(
    ' ',
  ),
]
const HEADERS = [
  ...'[program:web] [program:x] [program:a:b] [program:] [program] [group:g] [fcgi-program:web] [DEFAULT]'.split(
    ' ',
  ),
  ...'[eventlistener:l] [supervisord] [include] [unix_http_server] [inet_http_server] [rpcinterface:x] [x'.split(
    ' ',
  ),
]
const SIGNS = [
  ' ',
  ';',
  '#',
  '%',
  '=',
  ':',
  '"',
  "'",
  ',',
  '[',
  ']',
  '\t',
  '\r',
  '\n',
  ' ;',
  'é',
  '\u00a0',
  '\udcff',
]

/** Numbers that are the same for the same seed. */
export class Dice {
  #seed: number

  constructor(seed: number) {
    this.#seed = seed
  }

  below(count: number): number {
    this.#seed = (this.#seed * 1_103_515_245 + 12_345) % 2_147_483_648
    return Math.floor((this.#seed / 2_147_483_648) * count)
  }

  one<T>(from: readonly T[]): T {
    const found = from[this.below(from.length)]
    if (found === undefined) throw new Error('nothing to choose from')
    return found
  }
}

/** The text with one to three slips. */
export function mutated(text: string, dice: Dice): string {
  let made = text
  for (let count = 1 + dice.below(3); count > 0; count--) made = slip(made, dice)
  return made
}

function slip(text: string, dice: Dice): string {
  const lines = text.split('\n')
  const at = dice.below(lines.length)
  const line = lines[at] ?? ''
  const other = dice.below(lines.length)
  switch (dice.below(10)) {
    case 0:
      return lines.toSpliced(at, 1).join('\n')
    case 1:
      return lines.toSpliced(other, 0, line).join('\n')
    case 2:
      return lines.with(at, `${dice.one([' ', '\t', '    '])}${line}`).join('\n')
    case 3:
      return lines.with(at, line.trimStart()).join('\n')
    case 4:
    case 5:
      return lines
        .with(
          at,
          line.replace(/([=:]\s*).*/, (_, sign: string) => sign + dice.one(VALUES)),
        )
        .join('\n')
    case 6:
    case 7:
      return lines.toSpliced(at + 1, 0, `${dice.one(KEYS)}=${dice.one(VALUES)}`).join('\n')
    case 8:
      return lines.toSpliced(at, 0, dice.one(HEADERS)).join('\n')
    default: {
      const place = dice.below(text.length + 1)
      return text.slice(0, place) + dice.one(SIGNS) + text.slice(place + dice.below(2))
    }
  }
}
