import {readFile} from 'node:fs/promises';
import {dirname, relative, resolve} from 'node:path';
import {pathToFileURL} from 'node:url';

import type {Plugin} from 'esbuild';

import {IngestError, messageOf} from '../../core/errors.ts';
import {parseYaml} from './connector-document.ts';
import {packageFolderOf} from './package-folder.ts';
import {SLUICE_DOORS} from './sluice-doors.ts';

/** Code and everything that it imports as one ES module. */
export interface BundledCode {
  readonly code: string;
  /** Absolute paths of the files that went in. */
  readonly inputs: readonly string[];
}

/** How code is put together. */
export interface BundleOptions {
  /** The connector's folder: paths in the output are relative to it, so that equal input gives equal bytes. */
  readonly folder: string;
  /** `ours`: imports of `sluice/…` go to this package's own files. `named`: they stay as written, and only those listed may be. */
  readonly doors: 'ours' | {readonly named: readonly string[]};
}

/** Bundles a connector's entry in memory; TypeScript loses its types and is not checked. @throws INVALID_CONNECTOR naming file and line */
export async function bundleCode(entry: string, options: BundleOptions): Promise<BundledCode> {
  const {build} = await import('esbuild');
  const ours = options.doors === 'ours';
  try {
    const result = await build({
      entryPoints: [entry],
      absWorkingDir: options.folder,
      bundle: true,
      write: false,
      metafile: true,
      format: 'esm',
      platform: 'node',
      target: 'node20',
      charset: 'utf8',
      legalComments: 'none',
      sourcemap: ours ? 'inline' : false,
      logLevel: 'silent',
      // What the code reads beside itself lies beside its source, not where the bundle is put.
      define: ours ? {'import.meta.url': JSON.stringify(pathToFileURL(entry).href)} : {},
      // Settings of a user's tsconfig must not change what comes out.
      tsconfigRaw: {compilerOptions: {target: 'es2022', verbatimModuleSyntax: true}},
      banner: {js: (await hasRequire(entry)) ? '' : REQUIRE},
      plugins: [doorsPlugin(options.doors), documentPlugin],
    });
    const inputs = Object.keys(result.metafile.inputs).map((path) => resolve(options.folder, path));
    return {code: result.outputFiles[0]?.text ?? '', inputs: inputs.sort()};
  } catch (error) {
    throw bundleError(error, options.folder);
  }
}

/** Packages in CommonJS call require for modules of Node. */
const REQUIRE =
  "import {createRequire as sluiceCreateRequire} from 'node:module';\nconst require = sluiceCreateRequire(import.meta.url);";

/** What was built already begins so, behind the line that says for which SDK, and may not declare it twice. */
async function hasRequire(entry: string): Promise<boolean> {
  const code = await readFile(entry, 'utf8').catch(() => '');
  return code.replace(/^\/\/.*\n/, '').startsWith(REQUIRE);
}

function doorsPlugin(doors: BundleOptions['doors']): Plugin {
  return {
    name: 'sluice-doors',
    setup(build) {
      build.onResolve({filter: /^sluice(\/.*)?$/}, ({path, importer}) => {
        const allowed = doors === 'ours' ? Object.keys(SLUICE_DOORS) : doors.named;
        if (!allowed.includes(path))
          return {
            errors: [
              {
                text: `${relative(dirname(importer), importer)} imports "${path}"; a connector may import ${allowed.join(', ')} only`,
              },
            ],
          };
        return {path: doors === 'ours' ? (SLUICE_DOORS[path] ?? path) : path, external: true};
      });
      build.onResolve({filter: /\.node$/}, ({path, importer}) => {
        const from = packageFolderOf(importer)?.name;
        const who = from === undefined ? importer : `the package "${from}"`;
        return {errors: [{text: `${who} loads native code (${path}), which cannot be bundled`}]};
      });
    },
  };
}

/** YAML documents are imported as plain values. */
const documentPlugin: Plugin = {
  name: 'sluice-documents',
  setup(build) {
    build.onLoad({filter: /\.ya?ml$/}, async ({path}) => ({
      contents: JSON.stringify(parseYaml(await readFile(path, 'utf8'), path) ?? null),
      loader: 'json',
    }));
  },
};

/** What esbuild says of a failure, read from an error that is not typed as such. */
interface BuildMessage {
  readonly text: string;
  readonly location: {readonly file: string; readonly line: number; readonly column: number} | null;
}

function bundleError(error: unknown, folder: string): IngestError {
  const messages = messagesOf(error);
  const first = messages[0];
  if (first === undefined)
    return new IngestError('INVALID_CONNECTOR', `The code in ${folder} cannot be bundled: ${messageOf(error)}`, {
      cause: error,
    });
  const more = messages.length > 1 ? ` (and ${messages.length - 1} more)` : '';
  const at =
    first.location === null
      ? folder
      : `${resolve(folder, first.location.file)}:${first.location.line}:${first.location.column + 1}`;
  return new IngestError('INVALID_CONNECTOR', `${at}: ${first.text}${more}`, {
    fix: fixOf(first.text),
    context: {at},
    cause: error,
  });
}

function fixOf(text: string): string {
  if (text.startsWith('Could not resolve')) {
    const name = /"([^"]+)"/.exec(text)?.[1] ?? 'it';
    return name.startsWith('.')
      ? 'Correct the path of the import; imports of TypeScript files end in .ts.'
      : `Install it in the connector's folder: npm install ${name}`;
  }
  return text.includes('native code')
    ? 'Use a package without native code: a connector is one file that runs everywhere.'
    : 'Correct the code there.';
}

function messagesOf(error: unknown): readonly BuildMessage[] {
  if (typeof error !== 'object' || error === null || !('errors' in error) || !Array.isArray(error.errors)) return [];
  return error.errors.filter(
    (item: unknown): item is BuildMessage =>
      typeof item === 'object' &&
      item !== null &&
      'text' in item &&
      typeof item.text === 'string' &&
      'location' in item,
  );
}
