import {relative, resolve} from 'node:path';
import {fileURLToPath} from 'node:url';

import {writeScaffold, type ScaffoldKind} from '../../runtime/author/scaffold.ts';
import {OK, printJson, printLines, type CommandContext, type CommonFlags} from '../command-context.ts';

/** Flags of `sluice connector new`. */
export interface ConnectorNewFlags extends CommonFlags {
  readonly from: ScaffoldKind;
  readonly folder?: string;
}

const SKILLS = fileURLToPath(new URL('../../../skills/README.md', import.meta.url));

/** Writes a folder with a connector that runs, and says what to do next. @throws INVALID_OPTION */
export async function connectorNewCommand(
  context: CommandContext,
  name: string,
  flags: ConnectorNewFlags,
): Promise<number> {
  const {cwd} = context.io;
  const folder = resolve(cwd, flags.folder ?? name);
  const files = await writeScaffold(name, {kind: flags.from, folder});
  const shown = relative(cwd, folder) || '.';
  if (flags.json === true) printJson(context, {name, from: flags.from, folder: shown, files});
  else if (flags.quiet !== true)
    printLines(context, [
      `Wrote ${shown} (${files.length} files). Next:`,
      '',
      `  sluice connector dev ${shown} --once    show what it reads`,
      `  sluice connector test ${shown}          prove it against its simulator`,
      `  sluice connector docs ${shown}          write its options and fields into its README`,
      `  sluice connector build ${shown}         make one file of it`,
      '',
      `Begin with ${shown}/README.md and ${shown}/API.md. For an AI assistant: ${SKILLS}`,
    ]);
  return OK;
}
