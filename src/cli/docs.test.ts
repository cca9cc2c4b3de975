import {readFileSync} from 'node:fs';

import type {Command} from 'commander';
import {describe, expect, it} from 'vitest';

import {configurationSchema} from '../runtime/config/json-schema.ts';
import {recordedOutput} from './io.support.test.ts';
import {createProgram} from './program.ts';

const read = (name: string): string => readFileSync(new URL(`../../docs/${name}`, import.meta.url), 'utf8');

describe('the manual', () => {
  it('names every command and flag', () => {
    const text = read('cli.md');
    const none = (): never => {
      throw new Error('No command runs here.');
    };
    const io = {
      stdout: recordedOutput(),
      stderr: recordedOutput(),
      env: {},
      cwd: '/',
      onInterrupt: () => () => undefined,
      exit: () => undefined,
    };
    const program = createProgram({runtime: none, checkPipeline: none}, io, () => undefined);
    const missing = commandsOf(program).filter(
      ({path, flags}) => !text.includes(path) || flags.some((flag) => !text.includes(`\`${flag}`)),
    );
    expect(missing).toEqual([]);
  });

  it('names every key of definitions and settings', () => {
    const text = read('configuration.md');
    const definitions = configurationSchema()['$defs'] as Record<
      string,
      {readonly properties?: Record<string, {readonly properties?: object}>}
    >;
    const keys = [
      'table_configuration',
      'community_table_configuration',
      'table',
      'schema',
      'ingestion_definition',
      'pipeline_spec',
    ].flatMap((name) => Object.keys(definitions[name]?.properties ?? {}));
    const unneeded = new Set(['source_type', 'report']);
    expect(
      [...new Set(keys)].filter((key) => !unneeded.has(key) && !new RegExp(`[\`.]${key}[\`:.]`).test(text)),
    ).toEqual([]);
  });
});

function commandsOf(
  command: Command,
  prefix = '',
): readonly {readonly path: string; readonly flags: readonly string[]}[] {
  const path = `${prefix}${command.name()}`;
  const flags = command.options.map((option) => option.long ?? option.short ?? '');
  return [{path, flags}, ...command.commands.flatMap((inner) => commandsOf(inner, `${path} `))];
}
