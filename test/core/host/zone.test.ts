// Time zones from the host's files, against those that Node has of its own.
import { existsSync, mkdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { changesAround, offsetAt, parsePosixZone } from '../../../src/core/host/posix-zone.ts'
import { localZone, parseZone } from '../../../src/core/host/zone.ts'

const ZONES = '/usr/share/zoneinfo'
const skip = existsSync(`${ZONES}/Europe/Berlin`) ? false : 'this host has no time zones'
const NAMES = [
  'Europe/Berlin',
  'America/New_York',
  'Australia/Lord_Howe',
  'Africa/Cairo',
  'Africa/Casablanca',
  'America/Santiago',
  'America/Nuuk',
  'Asia/Kathmandu',
  'Asia/Tehran',
  'Asia/Gaza',
  'Pacific/Apia',
  'Pacific/Chatham',
  'Europe/Dublin',
  'Etc/GMT+5',
  'UTC',
]
const YEAR_MS = 366 * 86_400_000

await t.test('offsets of half a century', { skip }, (t) => {
  for (const name of NAMES) {
    const zone = parseZone(readFileSync(`${ZONES}/${name}`), name)
    const format = new Intl.DateTimeFormat('en', { timeZone: name, timeZoneName: 'longOffset' })
    const wrong: string[] = []
    for (let atMs = Date.UTC(1996, 0, 1); atMs < Date.UTC(2046, 0, 1); atMs += 5.3 * 86_400_000)
      if (zone.offsetAt(atMs) !== nodesOffset(format, atMs)) wrong.push(new Date(atMs).toISOString())
    t.same(wrong.slice(0, 3), [], name)
    const changes = []
    for (let atMs = Date.UTC(2026, 0, 1); changes.length < 3; ) {
      const change = zone.changeAfter(atMs)
      if (!change || change.atMs > atMs + YEAR_MS) break
      changes.push(change)
      atMs = change.atMs
    }
    for (const { atMs, before, after } of changes) {
      t.equal(nodesOffset(format, atMs - 1), before, `${name} before ${new Date(atMs).toISOString()}`)
      t.equal(nodesOffset(format, atMs), after, `${name} after it`)
      t.not(before, after)
    }
  }
  t.end()
})

function nodesOffset(format: Intl.DateTimeFormat, atMs: number): number {
  const text = format.formatToParts(atMs).find(({ type }) => type === 'timeZoneName')?.value ?? ''
  const [, sign, hours = '0', minutes = '0'] = /([+-])(\d\d):(\d\d)/.exec(text) ?? []
  return (sign === '-' ? -1 : 1) * (Number(hours) * 3600 + Number(minutes) * 60)
}

await t.test('rules of every form', (t) => {
  for (const [rule, instant, offset] of [
    ['UTC0', '2026-07-01', 0],
    ['CET-1CEST,M3.5.0,M10.5.0/3', '2040-03-25T00:59:59Z', 3600],
    ['CET-1CEST,M3.5.0,M10.5.0/3', '2040-03-25T01:00Z', 7200],
    ['CET-1CEST,M3.5.0,M10.5.0/3', '2040-10-28T01:00Z', 3600],
    ['<+1030>-10:30<+11>-11,M10.1.0,M4.1.0', '2040-01-01', 39_600],
    ['<+1030>-10:30<+11>-11,M10.1.0,M4.1.0', '2040-07-01', 37_800],
    // before midnight, and after the end of a day
    ['<-02>2<-01>,M3.5.0/-1,M10.5.0/0', '2040-03-24T23:59:59Z', -7200],
    ['<-02>2<-01>,M3.5.0/-1,M10.5.0/0', '2040-03-25T01:00Z', -3600],
    ['IST-2IDT,M3.4.4/26,M10.5.0', '2040-03-23T00:00Z', 10_800],
    ['IST-2IDT,M3.4.4/26,M10.5.0', '2040-03-22T23:59Z', 7200],
    // days of the year with and without a 29th of February
    ['AAA0BBB,J60,J300', '2028-03-01T01:59Z', 0],
    ['AAA0BBB,J60,J300', '2028-03-01T02:00Z', 3600],
    ['AAA0BBB,59,299', '2028-02-29T02:00Z', 3600],
    ['AAA0BBB,59,299', '2027-03-01T01:59Z', 0],
    // winter time that is set back, as in Dublin
    ['IST-1GMT0,M10.5.0,M3.5.0/1', '2040-01-01', 0],
    ['IST-1GMT0,M10.5.0,M3.5.0/1', '2040-07-01', 3600],
    // summer time all the year round
    ['EST5EDT,0/0,J365/25', '2040-01-01T05:00Z', -14_400],
    ['EST5EDT,0/0,J365/25', '2040-07-01', -14_400],
  ] as const) {
    const zone = parsePosixZone(rule)
    t.equal(zone && offsetAt(zone, Date.parse(instant)), offset, `${rule} at ${instant}`)
  }
  const always = parsePosixZone('EST5EDT,0/0,J365/25')
  t.same(always && changesAround(always, Date.UTC(2040, 6, 1)), [], 'none of its changes is one')
  for (const rule of ['', 'C-1', 'CET', 'CET-1CEST', 'CET-1CEST,M3.5.0', 'CET-1CEST,X1,X2', 'CET-1 '])
    t.equal(parsePosixZone(rule), null, JSON.stringify(rule))
  t.end()
})

await t.test('the zone of the host', { skip }, (t) => {
  const folder = t.testdir({})
  mkdirSync(join(folder, 'zoneinfo/Europe'), { recursive: true })
  const berlin = readFileSync(`${ZONES}/Europe/Berlin`)
  writeFileSync(join(folder, 'zoneinfo/Europe/Berlin'), berlin)
  const link = join(folder, 'localtime')
  t.equal(localZone(link).name, 'UTC', 'a host without the file is in UTC')
  symlinkSync('zoneinfo/Europe/Berlin', link)
  t.not(localZone(link).name, 'UTC')
  rmSync(link)
  symlinkSync(join(folder, 'zoneinfo/Europe/Berlin'), link)
  t.equal(localZone(link).name, 'Europe/Berlin')
  t.equal(localZone(link).offsetAt(Date.UTC(2026, 6, 1)), 7200)
  rmSync(link)
  writeFileSync(link, readFileSync(`${ZONES}/Asia/Kolkata`))
  t.equal(localZone(link).offsetAt(Date.UTC(2026, 6, 1)), 19_800, 'it is read anew each time')
  t.end()
})

await t.test('files that are none', { skip }, (t) => {
  const berlin = readFileSync(`${ZONES}/Europe/Berlin`)
  const broken = {
    'an empty one': Buffer.alloc(0),
    'another format': Buffer.from('#!/bin/sh\n'.repeat(20)),
    'one cut short': berlin.subarray(0, 60),
    'one cut in the second part': berlin.subarray(0, 300),
    'one of another rule': Buffer.concat([berlin.subarray(0, -3), Buffer.from('!\n')]),
  }
  for (const [it, bytes] of Object.entries(broken))
    t.throws(() => parseZone(bytes, 'x'), /zone x cannot be read/, it)
  t.end()
})
