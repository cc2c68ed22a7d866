import { expect, test } from 'vitest'
import { row, rowBeside, type Unit } from '../suites/contract.ts'
import { compareReports, isRegression } from './compare.ts'
import type { Report } from './json.ts'

const machine = { date: '', cpu: '', memoryGiB: 1, kernel: '', storage: '', node: '' }

function report(rows: Report['suites'][number]['rows'], changes: Partial<Report> = {}): Report {
  const suites = [{ name: 'cold', rows, notes: [], skipped: [] }]
  return { version: 1, machine, driver: 'btrfs', quick: true, suites, ...changes }
}

function measured(samples: readonly number[], { name = 'create', unit = 'ms' as Unit } = {}) {
  return rowBeside({ name, unit, samples }, { name: 'bare', samples: samples.map(() => 100) })
}

const steady = (value: number) => Array.from({ length: 10 }, (_, index) => value * (index % 2 === 0 ? 0.99 : 1.01))
const wild = (value: number) => Array.from({ length: 10 }, (_, index) => value * (index % 2 === 0 ? 0.5 : 2))

const verdict = (before: Report, after: Report, tolerance = 0.1) =>
  compareReports(before, after, tolerance).map((comparison) => comparison.verdict)

test('a ratio that moved by more than noise and tolerance is worse, or better', () => {
  const recorded = report([measured(steady(120))])
  expect(verdict(recorded, report([measured(steady(150))]))).toEqual(['worse'])
  expect(verdict(recorded, report([measured(steady(90))]))).toEqual(['better'])
  expect(verdict(recorded, report([measured(steady(125))]))).toEqual(['same'])
})

test('the spread of either run is noise', () => {
  expect(verdict(report([measured(steady(120))]), report([measured(wild(150))]))).toEqual(['same'])
  expect(verdict(report([measured(wild(120))]), report([measured(steady(150))]))).toEqual(['same'])
})

test('the tolerance is on top', () => {
  const [recorded, now] = [report([measured(steady(120))]), report([measured(steady(150))])]
  expect(verdict(recorded, now, 0.5)).toEqual(['same'])
})

test('more transactions a second are better, not worse', () => {
  const tps = (value: number) => report([measured(steady(value), { unit: 'transactions/s' })])
  expect(verdict(tps(100), tps(150))).toEqual(['better'])
  expect(verdict(tps(150), tps(100))).toEqual(['worse'])
})

test('a count that has grown is worse, by more than chance', () => {
  const missed = (count: number) => report([row({ name: 'missed', unit: 'count', samples: [count] })])
  expect(verdict(missed(0), missed(0))).toEqual(['same'])
  expect(verdict(missed(0), missed(2))).toEqual(['same'])
  expect(verdict(missed(0), missed(3))).toEqual(['worse'])
  expect(verdict(missed(8), missed(15))).toEqual(['worse'])
  expect(verdict(missed(8), missed(0))).toEqual(['better'])
})

test('a row that is gone is a regression, and one that is new is not', () => {
  const compared = compareReports(
    report([measured(steady(1), { name: 'old' })]),
    report([measured(steady(1), { name: 'young' })]),
    0.1,
  )
  expect(compared.map(({ name, verdict }) => [name, verdict])).toEqual([
    ['old', 'missing'],
    ['young', 'new'],
  ])
  expect(compared.map(isRegression)).toEqual([true, false])
})

test('a suite that did not run now does not matter, but one has to have run', () => {
  const [cold] = report([measured(steady(1))]).suites
  const suites = cold ? [cold, { ...cold, name: 'reset' }] : []
  const compared = compareReports(report([], { suites }), report([measured(steady(1))]), 0.1)
  expect(compared.map(({ suite }) => suite)).toEqual(['cold'])
  expect(() => compareReports(report([], { suites }), report([], { suites: [] }), 0.1)).toThrow('no ratio')
})

test('runs of another kind are refused', () => {
  const row = [measured(steady(1))]
  expect(() => compareReports(report(row), report(row, { quick: false }), 0.1)).toThrow('quick')
  expect(() => compareReports(report(row), report(row, { driver: 'zfs' }), 0.1)).toThrow('zfs')
})
