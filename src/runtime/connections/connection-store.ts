import {readdirSync, readFileSync} from 'node:fs';
import {rm} from 'node:fs/promises';
import {join} from 'node:path';

import {IngestError} from '../../core/errors.ts';
import {didYouMean} from '../../core/suggest.ts';
import type {ConnectionSpec, ConnectorPlace} from '../../pipeline/spec.ts';
import type {OptionValue} from '../../sdk/contract.ts';
import type {Environment} from '../config/environment.ts';
import {codeOf, createFile, makeHome, makePrivateFolder, replaceFile} from './durable-file.ts';
import {hasReference, withEnvironment} from './option-references.ts';
import {makeKey, needKey} from './seal-key.ts';
import {seal, unseal} from './seal.ts';
import {removeSecrets} from './sealed-secrets.ts';

/** Where stored connections lie, and what opens their secrets. */
export interface StorePlace {
  /** Folder of Sluice's own files, as `sluiceHome` names it; connections are files in `connections` there. */
  readonly home: string;
  readonly env: Environment;
}

/** A connection as its file holds it. */
export interface StoredConnection {
  readonly name: string;
  readonly connector: string;
  /** As in `ConnectionSpec`. */
  readonly place?: ConnectorPlace;
  /** What is no secret, and references to the environment. */
  readonly options: Readonly<Record<string, OptionValue>>;
  /** Sealed values by option. */
  readonly sealed: Readonly<Record<string, string>>;
  /** The option that a login in the browser gave, and when. */
  readonly login: {readonly option: string; readonly at: string} | null;
  readonly createdAt: string;
  readonly updatedAt: string;
}

/** Options to store and which of them are secrets. */
export interface ConnectionDraft {
  readonly name: string;
  readonly connector: string;
  readonly place?: ConnectorPlace;
  readonly options: Readonly<Record<string, OptionValue>>;
  readonly isSecret: (option: string) => boolean;
  readonly login?: {readonly option: string; readonly at: string};
  readonly nowMs: number;
}

const NAME = /^[A-Za-z0-9][A-Za-z0-9_-]{0,99}$/;

/** All stored connections by name. @throws INVALID_SPEC when a file is malformed */
export function listStored(place: StorePlace): readonly StoredConnection[] {
  const files = namesIn(folderOf(place)).filter((file) => file.endsWith('.json'));
  return files.sort().flatMap((file) => findStored(place, file.slice(0, -'.json'.length)) ?? []);
}

/** A stored connection; null when there is none of that name. @throws INVALID_SPEC when its file is malformed */
export function findStored(place: StorePlace, name: string): StoredConnection | null {
  if (!NAME.test(name)) return null;
  const path = pathOf(place, name);
  try {
    return parsed(readFileSync(path, 'utf8'), path, name);
  } catch (error) {
    if (codeOf(error) === 'ENOENT' || codeOf(error) === 'ENOTDIR') return null;
    throw error;
  }
}

/** A stored connection with secrets opened and references replaced. @throws MISSING_SECRET naming the variable or the option */
export function openStored(place: StorePlace, stored: StoredConnection): ConnectionSpec {
  const options: Record<string, OptionValue> = {};
  for (const [option, value] of Object.entries(stored.options))
    options[option] = withEnvironment(value, place.env, `connection "${stored.name}": ${option}`);
  for (const option of Object.keys(stored.sealed)) options[option] = openOption(place, stored, option);
  return {
    name: stored.name,
    connector: stored.connector,
    ...(stored.place === undefined ? {} : {place: stored.place}),
    options,
    home: place.home,
  };
}

/** The value of one sealed option; undefined when it is not stored. @throws MISSING_SECRET */
export function openOption(place: StorePlace, stored: StoredConnection, option: string): OptionValue {
  const sealed = stored.sealed[option];
  if (sealed === undefined) return undefined;
  const text = unseal(sealed, {connection: stored.name, name: option}, needKey(place.env));
  return optionValue(JSON.parse(text) as unknown);
}

/**
 * Stores a connection, secrets sealed; a reference such as `${env.TOKEN}` stays one.
 * @throws INVALID_OPTION when the name cannot be used or, unless `replace`, is taken.
 */
export async function saveConnection(
  place: StorePlace,
  draft: ConnectionDraft,
  mode: 'create' | 'replace',
): Promise<StoredConnection> {
  const {name} = draft;
  checkName(name);
  const secrets = Object.entries(draft.options).filter(
    ([option, value]) => value !== undefined && draft.isSecret(option) && !hasReference(value),
  );
  const key = secrets.length === 0 ? null : await makeKey(place.env);
  const sealed = secrets.map(([option, value]): [string, string] => [
    option,
    key === null ? '' : seal(JSON.stringify(value), {connection: name, name: option}, key),
  ]);
  const hidden = new Set(secrets.map(([option]) => option));
  const now = new Date(draft.nowMs).toISOString();
  const stored: StoredConnection = {
    name,
    connector: draft.connector,
    ...(draft.place === undefined ? {} : {place: draft.place}),
    options: Object.fromEntries(Object.entries(draft.options).filter(([option]) => !hidden.has(option))),
    sealed: Object.fromEntries(sealed),
    login: draft.login ?? null,
    createdAt: (mode === 'replace' ? findStored(place, name)?.createdAt : undefined) ?? now,
    updatedAt: now,
  };
  await writeStored(place, stored, mode);
  return stored;
}

/**
 * Refuses a login whose token would be kept in the stored connection of another connector, beside options that are none of its.
 * @throws INVALID_OPTION
 */
export function checkLogin(place: StorePlace, {name, connector}: Pick<ConnectionSpec, 'name' | 'connector'>): void {
  const before = findStored(place, name);
  if (before === null || before.connector === connector) return;
  throw new IngestError(
    'INVALID_OPTION',
    `There is a stored connection "${name}" of connector "${before.connector}".`,
    {
      fix: `Give this one another name, or delete the other: sluice connections delete ${name}`,
      context: {connection: name},
    },
  );
}

/**
 * Seals what a login gave as an option of a connection, in a file of its own when the connection is not a stored one.
 * @throws INVALID_OPTION when the stored one is of another connector
 */
export async function saveLogin(
  place: StorePlace,
  connection: Pick<ConnectionSpec, 'name' | 'connector' | 'place'>,
  token: {readonly option: string; readonly value: string; readonly nowMs: number},
): Promise<void> {
  const {name} = connection;
  checkName(name);
  checkLogin(place, connection);
  const key = await makeKey(place.env);
  const before = findStored(place, name);
  const now = new Date(token.nowMs).toISOString();
  const {[token.option]: _replaced, ...options} = before?.options ?? {};
  await writeStored(
    place,
    {
      name,
      connector: connection.connector,
      ...(connection.place === undefined ? {} : {place: connection.place}),
      options,
      sealed: {
        ...before?.sealed,
        [token.option]: seal(JSON.stringify(token.value), {connection: name, name: token.option}, key),
      },
      login: {option: token.option, at: now},
      createdAt: before?.createdAt ?? now,
      updatedAt: now,
    },
    'replace',
  );
}

/** Removes a stored connection and what it kept; false when there was none. */
export async function deleteConnection(place: StorePlace, name: string): Promise<boolean> {
  if (!NAME.test(name)) return false;
  const isThere = namesIn(folderOf(place)).includes(`${name}.json`);
  await rm(pathOf(place, name), {force: true});
  await removeSecrets({home: place.home, connection: name, env: place.env});
  return isThere;
}

/** There is no such connection, with what there is. */
export function unknownConnection(name: string, known: readonly string[]): IngestError {
  const close = didYouMean(name, known);
  const choices =
    known.length === 0
      ? `Create it: sluice connections create ${name} --connector TYPE`
      : `Known: ${known.join(', ')}.`;
  return new IngestError('INVALID_OPTION', `There is no connection "${name}".`, {
    fix: close === null ? choices : `Did you mean "${close}"?`,
    context: {connection: name},
  });
}

async function writeStored(place: StorePlace, stored: StoredConnection, mode: 'create' | 'replace'): Promise<void> {
  await makeHome(place.home);
  await makePrivateFolder(folderOf(place));
  const text = `${JSON.stringify({format: 1, ...stored}, null, 2)}\n`;
  if (mode === 'replace') await replaceFile(pathOf(place, stored.name), text);
  else if (!(await createFile(pathOf(place, stored.name), text)))
    throw new IngestError('INVALID_OPTION', `There is a stored connection "${stored.name}" already.`, {
      fix: 'Choose another name, or add --replace.',
    });
}

function checkName(name: string): void {
  if (NAME.test(name)) return;
  throw new IngestError('INVALID_OPTION', `The name ${JSON.stringify(name)} cannot be that of a stored connection.`, {
    fix: 'Use letters, digits, "_" and "-", at most 100, beginning with a letter or digit.',
  });
}

function folderOf({home}: StorePlace): string {
  return join(home, 'connections');
}

function pathOf(place: StorePlace, name: string): string {
  return join(folderOf(place), `${name}.json`);
}

function namesIn(folder: string): string[] {
  try {
    return readdirSync(folder);
  } catch (error) {
    if (codeOf(error) === 'ENOENT' || codeOf(error) === 'ENOTDIR') return [];
    throw error;
  }
}

function parsed(text: string, path: string, name: string): StoredConnection {
  const file = record(jsonOf(text));
  const {connector, format, createdAt, updatedAt} = file;
  const login = record(file['login']);
  if (format !== 1 || typeof connector !== 'string' || file['name'] !== name) throw malformed(path);
  const options = Object.entries(record(file['options'])).map(([option, value]) => [option, optionValue(value)]);
  const sealed = Object.entries(record(file['sealed'])).filter(
    (entry): entry is [string, string] => typeof entry[1] === 'string',
  );
  return {
    name,
    connector,
    ...connectorPlaceOf(file['place']),
    options: Object.fromEntries(options) as Record<string, OptionValue>,
    sealed: Object.fromEntries(sealed),
    login:
      typeof login['option'] === 'string' && typeof login['at'] === 'string'
        ? {option: login['option'], at: login['at']}
        : null,
    createdAt: String(createdAt),
    updatedAt: String(updatedAt),
  };
}

function connectorPlaceOf(value: unknown): {readonly place?: ConnectorPlace} {
  const {kind, path, name, project} = record(value);
  if (kind === 'path' && typeof path === 'string') return {place: {kind, path}};
  return kind === 'added' && typeof name === 'string' && typeof project === 'string'
    ? {place: {kind, name, project}}
    : {};
}

function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    // Told by the caller as a malformed file: the parser's message would show its content.
    return null;
  }
}

function record(value: unknown): Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? {...value} : {};
}

function optionValue(value: unknown): OptionValue {
  if (typeof value === 'string' || typeof value === 'number' || typeof value === 'boolean') return value;
  return Array.isArray(value) ? value.map(String) : undefined;
}

function malformed(path: string): IngestError {
  return new IngestError('INVALID_SPEC', `${path} is no stored connection of this version, or was changed.`, {
    fix: 'Delete it and create the connection again.',
    context: {path},
  });
}
