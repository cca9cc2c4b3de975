import {readdirSync} from 'node:fs';
import {availableParallelism, totalmem} from 'node:os';

import type {BenchResult} from './result.ts';

interface Bench {
  run(): Promise<readonly BenchResult[]>;
}

/** Files of this folder that measure nothing themselves. */
const parts = new Set([
  'main',
  'result',
  'process-tree',
  'raw-copy',
  'postgres-ingest-child',
  'upsert-target',
  'lake-bench',
  'api-source',
  'api-limits-child',
  'api-limits-source',
]);

function benchNames(): string[] {
  const files = readdirSync(new URL('.', import.meta.url)).filter(
    (file) => file.endsWith('.ts') && !file.endsWith('.test.ts'),
  );
  return files
    .map((file) => file.slice(0, -'.ts'.length))
    .filter((name) => !parts.has(name))
    .sort();
}

/** A bench that throws is a result that is not ok, so that the others still run. */
async function measure(name: string): Promise<readonly BenchResult[]> {
  try {
    const bench = (await import(new URL(`${name}.ts`, import.meta.url).href)) as Bench;
    return await bench.run();
  } catch (error) {
    console.error(error);
    return [
      {name, measured: `failed: ${error instanceof Error ? error.message : String(error)}`, limit: '', ok: false},
    ];
  }
}

function printTable(results: readonly BenchResult[]): void {
  const rows = results.map(({name, measured, limit, ok}) => [name, measured, limit, ok ? 'ok' : 'NOT OK']);
  const lines = [['bench', 'measured', 'limit', ''], ...rows];
  const widths = [0, 1, 2].map((column) => Math.max(...lines.map((line) => line[column]?.length ?? 0)));
  for (const line of lines) {
    console.log(
      line
        .map((cell, column) => cell.padEnd(widths[column] ?? 0))
        .join('  ')
        .trimEnd(),
    );
  }
}

async function main(wanted: readonly string[]): Promise<void> {
  const known = benchNames();
  const unknown = wanted.filter((name) => !known.includes(name));
  if (unknown.length > 0) {
    console.error(`No bench named ${unknown.join(', ')}. There are: ${known.join(', ') || 'none'}.`);
    process.exitCode = 2;
    return;
  }
  console.log(`Node ${process.version}, ${availableParallelism()} cores, ${Math.round(totalmem() / 2 ** 30)} GB`);
  const results: BenchResult[] = [];
  for (const name of wanted.length > 0 ? wanted : known) {
    const startedAt = performance.now();
    results.push(...(await measure(name)));
    console.error(`${name}: ${((performance.now() - startedAt) / 1000).toFixed(1)} s`);
  }
  printTable(results);
  if (results.some(({ok}) => !ok)) process.exitCode = 1;
}

await main(process.argv.slice(2));
