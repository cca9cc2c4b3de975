import {readFileSync} from 'node:fs';

import {IngestError} from '../../core/errors.ts';

/** What code of others may import of this package, and the file of ours that it gets: the one that runs, whatever lies in its node_modules. */
export const SLUICE_DOORS: Readonly<Record<string, string>> = {
  'sluice/sdk': door('sdk'),
  'sluice/simulator': door('simulator'),
  'sluice/testkit': door('testkit'),
};

function door(room: string): string {
  const extension = import.meta.url.endsWith('.ts') ? 'ts' : 'js';
  return new URL(`../../${room}/index.${extension}`, import.meta.url).href;
}

/** The version of the SDK: that of the package. */
export function sdkVersion(): string {
  const manifest: unknown = JSON.parse(readFileSync(new URL('../../../package.json', import.meta.url), 'utf8'));
  if (
    typeof manifest === 'object' &&
    manifest !== null &&
    'version' in manifest &&
    typeof manifest.version === 'string'
  )
    return manifest.version;
  throw new IngestError('INVALID_CONNECTOR', 'package.json of sluice has no version.', {class: 'bug'});
}

/** The range of SDK versions that run what was built for `version`: the same major, below 1.0 the same minor. */
export function sdkRange(version: string): string {
  return `^${version}`;
}

/** Whether this SDK runs a connector that declares `range`: a caret range, a version, `*`, or several joined by `||`. */
export function sdkSatisfies(range: string, version: string): boolean {
  return range.split('||').some((part) => satisfies(part.trim(), version));
}

function satisfies(range: string, version: string): boolean {
  if (range === '*' || range === '') return true;
  const wanted = /^[\^~>=v\s]*(\d+)(?:\.(\d+|x|\*))?(?:\.(\d+|x|\*))?/.exec(range);
  const have = /^(\d+)\.(\d+)\.(\d+)/.exec(version);
  if (wanted === null || have === null) return false;
  if (wanted[1] !== have[1]) return false;
  const minor = Number(wanted[2] ?? 0) || 0;
  if (wanted[1] === '0') return wanted[2] === undefined || Number(have[2]) === minor;
  return Number(have[2]) >= minor;
}

/** @throws UNSUPPORTED when a connector was built for another major of the SDK. */
export function checkSdkRange(range: string, about: string): void {
  const version = sdkVersion();
  if (sdkSatisfies(range, version)) return;
  throw new IngestError('UNSUPPORTED', `${about} was built for sluice/sdk ${range}; this is ${version}.`, {
    fix: 'Take a build of the connector for this version, or run the Sluice that it was built for.',
    context: {sdk: range, version},
  });
}
