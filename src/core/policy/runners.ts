// Programs that run what they are given, by name: what of their arguments can be told apart with certainty, and what
// not. A program that is not here counts as one that does its own work.

/** Which words may stand before what a program is given to run. All others are refused: some carry code themselves. */
interface Options {
  /** One word each. */
  flags: RegExp
  /** An option and its value, as two words with a space between. */
  pairs?: RegExp
  /** Words between the options and what is run, such as a duration. */
  operands?: number
}

export type Runner =
  /** Runs a script, by its path. */
  | (Options & { kind: 'interpreter'; script?: RegExp })
  /** Runs a command, as the same user. */
  | (Options & { kind: 'wrapper' })
  /** Runs something as somebody else, elsewhere, later, or made of other things than its own words. */
  | { kind: 'unseen' }

const NONE = /^(?!)/

/**
 * Variables by which an interpreter or the loader brings in other code than the script, or a bare name finds another
 * executable.
 */
const CODE_VARIABLE = new RegExp(
  `^(?:${[
    'LD_.*|GCONV_PATH|OPENSSL_.*|PATH|IFS|PS4|ENV|SHELL|SHELLOPTS|BASHOPTS|BASH_.*|ZDOTDIR|FPATH',
    'PHPRC|PHP_INI_SCAN_DIR|PERL5?(?:LIB|OPT|DB)|RUBY(?:LIB|OPT|SHELL)|GEM_(?:HOME|PATH)|BUNDLE_GEMFILE',
    'PYTHON(?:PATH|HOME|STARTUP|USERBASE|WARNINGS|BREAKPOINT|EXECUTABLE|PYCACHEPREFIX|INSPECT|PLATLIBDIR)',
    'NODE_(?:OPTIONS|PATH)|LUA_(?:INIT|PATH|CPATH).*|TCLLIBPATH|AWK(?:LIB)?PATH|R_.*',
    'CLASSPATH|_?JAVA_(?:TOOL_)?OPTIONS|JDK_JAVA_OPTIONS|DOTNET_.*|CORECLR_.*',
  ].join('|')})$`,
  's',
)

/** True for a variable that changes which code runs. */
export function bringsCode(variable: string): boolean {
  return CODE_VARIABLE.test(variable)
}

const RUNNERS: readonly (readonly [name: RegExp, runner: Runner])[] = [
  [
    /^(?:ba|rba|da|a|z|k|mk|pdk|ok|lok|ya|po|c|tc|fi)?sh[\d.-]*$/,
    { kind: 'interpreter', flags: /^-[eux]+$/ },
  ],
  [
    /^(?:ls)?php[\d.-]*(?:cgi|cli)?[\d.]*$/,
    {
      kind: 'interpreter',
      flags: /^-(?:[qnf]|d(?:memory_limit|max_execution_time|display_errors|error_reporting)=[\w.+-]*)$/,
      pairs: /^-d (?:memory_limit|max_execution_time|display_errors|error_reporting)=[\w.+-]*$/,
    },
  ],
  [/^(?:python|pypy)(?:[\d.]+[a-z]?)?(?:-(?:dbg|nogil))?$/, { kind: 'interpreter', flags: /^-[uBOsSEIq]+$/ }],
  [
    /^node(?:js)?[\d.-]*$/,
    {
      kind: 'interpreter',
      flags: /^--(?:max[-_](?:old|semi)[-_]space[-_]size=\d+|enable-source-maps|no-warnings|trace-warnings)$/,
      script: /^(?!(?:inspect|debug)$)/,
    },
  ],
  [/^(?:j|truffle)?ruby[\d.-]*$/, { kind: 'interpreter', flags: /^-(?:w|W[012]?)$/ }],
  [/^perl[\d.]*(?:-\S+)?$/, { kind: 'interpreter', flags: /^-[wWtT]+$/ }],
  [
    /^java$/,
    {
      kind: 'interpreter',
      flags: /^-(?:jar|server|X(?:mx|ms|ss)\d+[kKmMgG]?|XX:(?:[+-]\w+|MaxRAMPercentage=[\d.]+))$/,
    },
  ],
  [/^dotnet$/, { kind: 'interpreter', flags: NONE, script: /\.(?:dll|exe)$/ }],
  [
    /^(?:lua(?:jit)?|tclsh|wish|expect|Rscript|julia|guile|elixir|[gmn]?awk|original-awk)[\d.-]*$/,
    { kind: 'interpreter', flags: NONE },
  ],
  [
    /^env$/,
    {
      kind: 'wrapper',
      flags: /^(?:-|-i|--ignore-environment|--unset=\w+|[A-Za-z_]\w*=.*)$/s,
      pairs: /^-u \w+$/,
    },
  ],
  [/^nice$/, { kind: 'wrapper', flags: /^(?:-n?-?\d+|--adjustment=-?\d+)$/, pairs: /^-n -?\d+$/ }],
  [/^ionice$/, { kind: 'wrapper', flags: /^-(?:c\d|n\d|t)$/, pairs: /^-[cn] \d$/ }],
  [
    /^timeout$/,
    {
      kind: 'wrapper',
      flags: /^(?:-[sk][\w.]+|--(?:signal|kill-after)=[\w.]+|--preserve-status|--foreground|-v|--verbose)$/,
      pairs: /^-[sk] [\w.]+$/,
      operands: 1,
    },
  ],
  [
    /^flock$/,
    {
      kind: 'wrapper',
      flags:
        /^(?:-[sexnoF]+|--(?:shared|exclusive|nonblock|nb|close|no-fork|verbose|(?:timeout|wait|conflict-exit-code)=[\d.]+))$/,
      pairs: /^-[wE] [\d.]+$/,
      operands: 1,
    },
  ],
  [/^stdbuf$/, { kind: 'wrapper', flags: /^-[ioe](?:L|\d+\w?)$/, pairs: /^-[ioe] (?:L|\d+\w?)$/ }],
  [/^setsid$/, { kind: 'wrapper', flags: /^(?:-[cfw]+|--(?:ctty|fork|wait))$/ }],
  [
    /^prlimit$/,
    { kind: 'wrapper', flags: /^--(?:as|core|cpu|data|fsize|nofile|nproc|rss|stack)=(?:\d+|unlimited)$/ },
  ],
  [/^(?:nohup|time)$/, { kind: 'wrapper', flags: NONE }],
  [/^(?:tini|dumb-init|chronic)$/, { kind: 'wrapper', flags: /^-[egsv]+$/ }],
  [
    new RegExp(
      `^(?:${[
        'sudo|su|doas|pkexec|runuser|setpriv|capsh|gosu|su-exec|chpst|setuidgid|envuidgid|envdir|softlimit|s6-.+',
        'chroot|unshare|nsenter|bwrap|firejail|proot|fakeroot|fakechroot|systemd-run|systemd-inhibit|run-parts',
        'start-stop-daemon|daemonize|taskset|chrt|numactl|cpulimit|setarch|linux32|linux64|i386|x86_64',
        'xargs|parallel|watch|entr|script|unbuffer|rlwrap|strace|ltrace|gdb|valgrind|perf|xvfb-run|dbus-run-session',
        'at|batch|crontab|screen|tmux|socat|busybox.*|toybox.*|deno|bun|pwsh|ld\\.so|ld-.+',
      ].join('|')})$`,
    ),
    { kind: 'unseen' },
  ],
]
/** One file under many names: what it does depends on how it is called. */
const MULTI_CALL = /^(?:busybox|toybox)/

/**
 * What an executable does with its arguments.
 * @param real the name of the file that it is
 * @param given the name by which it is called
 * @returns null for a program that does its own work
 */
export function runnerOf(real: string, given: string): Runner | null {
  return (MULTI_CALL.test(real) ? null : named(real)) ?? named(given)
}

function named(name: string): Runner | null {
  return RUNNERS.find(([pattern]) => pattern.test(name))?.[1] ?? null
}
