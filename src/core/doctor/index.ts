// Every question that the doctor asks. A new one is a file and a line here: the method, the command and its exit
// status know it then.
import { agentDescriptors } from './agent-descriptors.ts'
import { auditChain } from './audit-chain.ts'
import type { Check } from './check.ts'
import { clock } from './clock.ts'
import { cron } from './cron.ts'
import { cronOwners } from './cron-owners.ts'
import { cronSpool } from './cron-spool.ts'
import { cronZone } from './cron-zone.ts'
import { exitStatuses } from './exit-statuses.ts'
import type { DoctorAgent, DoctorHost } from './host.ts'
import { journal } from './journal.ts'
import { listenerConnected } from './listener-connected.ts'
import { listenerInstalled } from './listener-installed.ts'
import { logFolders } from './log-folders.ts'
import { orphans } from './orphans.ts'
import { panelLink } from './panel-link.ts'
import { processes } from './processes.ts'
import { programDuplicates } from './program-duplicates.ts'
import { programFolder } from './program-folder.ts'
import { stateFolder } from './state-folder.ts'
import { supervisorDescriptors } from './supervisor-descriptors.ts'
import { supervisorDoors } from './supervisor-doors.ts'
import { supervisorFiles } from './supervisor-files.ts'
import { supervisorSocket } from './supervisor-socket.ts'
import { supervisorVersion } from './supervisor-version.ts'
import { tlsCertificate } from './tls-certificate.ts'
import { tokensFile } from './tokens-file.ts'

/** What can be asked without a running agent too. */
export function hostChecks(host: DoctorHost): Check[] {
  return [
    supervisorSocket(host),
    supervisorVersion(host),
    supervisorFiles(host),
    programFolder(host),
    programDuplicates(host),
    supervisorDoors(host),
    supervisorDescriptors(host),
    listenerInstalled(host),
    processes(host),
    logFolders(host),
    tokensFile(host),
    stateFolder(host),
    auditChain(host),
    cron(host),
    cronOwners(host),
    cronSpool(host),
    cronZone(),
    tlsCertificate(host),
    clock(host),
  ]
}

/** What only the agent can answer, of itself. */
export function agentChecks(host: DoctorHost, agent: DoctorAgent): Check[] {
  return [
    listenerConnected(host, agent),
    exitStatuses(host, agent),
    orphans(agent),
    panelLink(host, agent),
    journal(host, agent),
    agentDescriptors(),
  ]
}
