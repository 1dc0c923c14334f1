import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { parseConfig } from '../../../src/config.ts'
import type { Principal } from '../../../src/core/access/principal.ts'
import { Accounts } from '../../../src/core/policy/accounts.ts'
import { Policy } from '../../../src/core/policy/policy.ts'
import type { PolicyRules, SupervisordFacts, Verdict } from '../../../src/core/policy/subject.ts'

export const FILE = '/etc/supervisor-agent/config.yaml'
export const UID = process.getuid?.() ?? 0
export const NOT_ROOT = UID === 0 ? false : 'only root can make files of other owners'

/** A token that may run its programs as whom the policy allows. */
export const DEPLOYER: Principal = {
  actor: 'token:deployer',
  id: 'deployer00',
  scopes: new Set(['read', 'program', 'cron']),
  programs: ['*'],
  users: ['*'],
  isAbovePolicy: false,
  isRemote: true,
}

const PASSWD = `root:x:0:0:root:/root:/bin/bash
toor:x:0:0::/root:/bin/bash
daemon:x:1:1::/:/bin/false
www-data:x:33:33::/var/www:/bin/false
web2:x:33:33::/var/www:/bin/false
deploy:x:1500:1500::/home/deploy:/bin/bash
1abc:x:1501:1501::/home/1abc:/bin/bash
`

interface Test {
  teardown(undo: () => unknown): void
}

/** Folders of a host, and its policy; nobody but we may write them unless a test says so. */
export class PolicyHost {
  readonly folder = mkdtempSync(join(tmpdir(), 'po-'))
  readonly logs = this.dir('log')
  readonly bin = this.dir('bin')
  readonly app = this.dir('app')
  readonly #passwd = this.file('passwd', PASSWD)
  facts: SupervisordFacts = { uid: UID, searchPath: [this.bin, '/usr/bin', '/bin'] }

  constructor(t: Test) {
    t.teardown(() => rmSync(this.folder, { recursive: true, force: true }))
  }

  path(name: string): string {
    return join(this.folder, name)
  }

  dir(name: string, mode = 0o755): string {
    const path = this.path(name)
    mkdirSync(path, { recursive: true })
    chmodSync(path, mode)
    return path
  }

  file(name: string, text = '', mode = 0o644): string {
    const path = this.path(name)
    mkdirSync(dirname(path), { recursive: true })
    writeFileSync(path, text)
    chmodSync(path, mode)
    return path
  }

  /** An executable script. */
  script(name: string): string {
    return this.file(name, '#!/bin/sh\nexit 0\n', 0o755)
  }

  policy(rules: Partial<PolicyRules> = {}): Policy {
    const defaults = { ...parseConfig('', 'test').policy, logDirectories: [this.logs], users: ['www-data'] }
    return new Policy({
      rules: { ...defaults, ...rules },
      file: FILE,
      supervisord: async () => this.facts,
      accounts: new Accounts({ file: this.#passwd }),
    })
  }
}

/** The names of the rules that speak against it, in order. */
export function rulesOf({ violations }: Verdict): string[] {
  return violations.map(({ rule }) => rule)
}
