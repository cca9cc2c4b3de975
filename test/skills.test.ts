import {existsSync, readdirSync, readFileSync} from 'node:fs';
import {dirname, join, relative} from 'node:path';
import {fileURLToPath} from 'node:url';

import type {Command} from 'commander';
import {beforeAll, describe, expect, it} from 'vitest';
import {parse} from 'yaml';
import {z} from 'zod';

import {createProgram} from '../src/cli/program.ts';

const root = fileURLToPath(new URL('..', import.meta.url));
const skills = join(root, 'skills');

interface Document {
  /** Relative to `skills`. */
  readonly path: string;
  readonly text: string;
}

const documents: readonly Document[] = readdirSync(skills, {recursive: true, encoding: 'utf8'})
  .filter((name) => name.endsWith('.md'))
  .sort()
  .map((path) => ({path, text: readFileSync(join(skills, path), 'utf8')}));
const chained = documents.filter(({path}) => path.endsWith('SKILL.md') || path.startsWith('commands/'));

const frontShape = z.strictObject({name: z.string(), description: z.string().min(40).max(1024)});

const EXPECTED = [
  'research-source-api',
  'authenticate-source',
  'implement-connector',
  'implement-partitioned-connector',
  'write-simulator',
  'test-and-fix-connector',
  'write-back-testing',
  'create-connector-document',
  'generate-connector-spec',
  'deploy-connector',
  'review-connector',
];

describe('skills', () => {
  it('are one per phase, each in a folder, and the commands that chain them', () => {
    const names = chained.map(({path}) => path.replace(/\/SKILL\.md$/, ''));
    expect(names.sort()).toEqual(
      [...EXPECTED, 'commands/develop-connector.md', 'commands/validate-connector.md'].sort(),
    );
  });

  it.each(chained)('$path has front matter that names it and says when to read it', ({path, text}) => {
    const [, front = '', body = ''] = /^---\n([\s\S]*?)\n---\n([\s\S]*)$/.exec(text) ?? [];
    const {name} = frontShape.parse(parse(front));
    expect(path).toContain(name);
    expect(body.trim().startsWith('# ')).toBe(true);
  });

  it.each(documents)('$path links only to what is there', ({path, text}) => {
    const targets = [...text.matchAll(/\]\(([^)#\s]+)[^)]*\)/g)].map((match) => match[1] ?? '');
    const broken = targets.filter(
      (target) => !/^https?:/.test(target) && !existsSync(join(skills, dirname(path), target)),
    );
    expect(broken).toEqual([]);
  });

  it('are all linked from their README', () => {
    const readme = documents.find(({path}) => path === 'README.md')?.text ?? '';
    expect(chained.map(({path}) => path).filter((path) => !readme.includes(`(${path})`))).toEqual([]);
  });
});

describe('what skills tell to run', () => {
  const none = (): never => {
    throw new Error('No command runs here.');
  };
  const output = {write: () => undefined, isTerminal: false, size: () => ({columns: 80, rows: 24})};
  const io = {
    stdout: output,
    stderr: output,
    env: {},
    cwd: '/',
    onInterrupt: () => () => undefined,
    exit: () => undefined,
  };
  const program = createProgram({runtime: none, checkPipeline: none}, io, () => undefined);

  it.each(documents)('$path names only commands and flags that exist', ({text}) => {
    const wrong = commandsIn(text).flatMap((line) => problemsOf(line, program).map((problem) => `${line}: ${problem}`));
    expect(wrong).toEqual([]);
  });

  it('are many', () => {
    const found = documents.flatMap(({text}) => commandsIn(text));
    expect(found.length).toBeGreaterThan(40);
    expect(found).toContain('sluice connector test NAME --suite faults');
  });

  it('would notice a command or flag that does not exist', () => {
    expect(problemsOf('sluice conections test x', program)).toEqual(['conections']);
    expect(problemsOf('sluice connections tset x', program)).toEqual(['tset']);
    expect(problemsOf('sluice connections test x --tracee f', program)).toEqual(['--tracee']);
  });
});

describe('what skills tell to write', () => {
  const exported = new Map<string, ReadonlySet<string>>();
  let words: ReadonlySet<string> = new Set();
  beforeAll(() => {
    for (const door of ['sdk', 'simulator', 'testkit']) exported.set(`sluice/${door}`, exportsOf(door));
    words = wordsOf(['sdk', 'simulator', 'testkit', 'core']);
  });

  it.each(documents)('$path imports only what the doors export', ({text}) => {
    const wrong = [...text.matchAll(/import (?:type )?\{([^}]*)\} from '([^']+)'/g)].flatMap(
      ([, names = '', door = '']) =>
        names
          .split(',')
          .map((name) => name.trim().replace(/^type /, ''))
          .filter((name) => name !== '' && exported.get(door)?.has(name) !== true)
          .map((name) => `${door}: ${name}`),
    );
    expect(wrong).toEqual([]);
  });

  it.each(documents)('$path names only types, functions and fields that exist', ({text}) => {
    const spans = [...text.matchAll(/`([^`\n]+)`/g)].map((match) => match[1] ?? '');
    const names = spans.flatMap((span) => /^([A-Za-z][A-Za-z0-9]*)(?:\(.*\))?$/.exec(span)?.[1] ?? []);
    const identifiers = names.filter((name) => /[a-z][A-Z]|^[A-Z][a-z]+[A-Z]/.test(name));
    expect([...new Set(identifiers)].filter((name) => !words.has(name))).toEqual([]);
  });
});

/** Command lines in code blocks and code spans. */
function commandsIn(text: string): readonly string[] {
  const blocks = [...text.matchAll(/^\s*```[a-z]*\n([\s\S]*?)^\s*```/gm)].flatMap((match) =>
    (match[1] ?? '').split('\n'),
  );
  const spans = [...text.replaceAll(/^\s*```[\s\S]*?^\s*```/gm, '').matchAll(/`([^`]+)`/g)].map(
    (match) => match[1] ?? '',
  );
  return [...blocks, ...spans]
    .map((line) => line.trim().replaceAll(/\s+/g, ' '))
    .filter((line) => /^sluice [a-z]/.test(line));
}

function problemsOf(line: string, program: Command): readonly string[] {
  const problems: string[] = [];
  let command = program;
  const [, ...parts] = line.split(' ');
  let isNaming = true;
  for (const part of parts) {
    if (part.startsWith('-') && part !== '-') {
      const flag = part.split('=')[0] ?? '';
      if (!command.options.some((option) => option.long === flag || option.short === flag)) problems.push(part);
      continue;
    }
    if (!isNaming) continue;
    const inner = command.commands.find((one) => one.name() === part);
    if (inner !== undefined) command = inner;
    else {
      if (command.commands.length > 0) problems.push(part);
      isNaming = false;
    }
  }
  return problems;
}

/** Names that the index of a room exports. */
function exportsOf(room: string): ReadonlySet<string> {
  const text = readFileSync(join(root, 'src', room, 'index.ts'), 'utf8');
  const lists = [...text.matchAll(/export (?:type )?\{([^}]*)\}/g)].flatMap((match) => (match[1] ?? '').split(','));
  const names = lists.map((name) => (/(\w+)\s*$/.exec(name.trim()) ?? [])[1] ?? '').filter((name) => name !== '');
  const all = [...text.matchAll(/export type \* from '([^']+)'/g)].flatMap((match) =>
    [
      ...readFileSync(join(root, 'src', room, match[1] ?? ''), 'utf8').matchAll(/^export (?:interface|type) (\w+)/gm),
    ].map((found) => found[1] ?? ''),
  );
  return new Set([...names, ...all]);
}

/** Every identifier in the sources of rooms, tests left out. */
function wordsOf(rooms: readonly string[]): ReadonlySet<string> {
  const files = rooms.flatMap((room) =>
    readdirSync(join(root, 'src', room), {recursive: true, encoding: 'utf8'})
      .filter((name) => name.endsWith('.ts') && !name.endsWith('.test.ts'))
      .map((name) => join(root, 'src', room, name)),
  );
  return new Set(
    files.flatMap((file) => readFileSync(relative(process.cwd(), file) || file, 'utf8').match(/\w+/g) ?? []),
  );
}
