import {mkdir, writeFile} from 'node:fs/promises';
import {join, relative, resolve} from 'node:path';

import {IngestError} from '../../core/errors.ts';
import {OK, printJson, printLines, type CommandContext} from '../command-context.ts';

/** Writes a commented `sluice.yml` that runs as it is. @throws INVALID_OPTION when there is one already. */
export async function initCommand(context: CommandContext, folder: string | undefined): Promise<number> {
  const {io} = context;
  const root = resolve(io.cwd, folder ?? '.');
  const path = join(root, 'sluice.yml');
  const shown = relative(io.cwd, path);
  await mkdir(root, {recursive: true});
  try {
    await writeFile(path, TEMPLATE, {flag: 'wx'});
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
    throw new IngestError('INVALID_OPTION', `${shown} exists already and is not overwritten.`, {
      fix: 'Remove it, or name another folder: sluice init FOLDER',
      context: {path: shown},
      cause: error,
    });
  }
  if (context.flags.json === true) printJson(context, {file: shown});
  else if (context.flags.quiet !== true) {
    const inFolder = folder === undefined ? '' : `cd ${relative(io.cwd, root)} && `;
    printLines(context, [
      `Wrote ${shown}. Next:`,
      '',
      `  ${inFolder}sluice run`,
      `  ${inFolder}sluice query "SELECT * FROM users LIMIT 5"`,
    ]);
  }
  return OK;
}

/** What `sluice init` writes. */
export const TEMPLATE = `# Where the Delta tables go, relative to this file. Also: --lake, or SLUICE_LAKE.
lake: ./lake

resources:
  connections:
    demo:
      # The connector: EXAMPLE (made-up data, no network), POSTGRESQL, FILES.
      connection_type: EXAMPLE
      options:
        username: demo
        # Secrets come from the environment: password: \${env.DEMO_PASSWORD}
        password: demo
        # Keeps the made-up data, so that the next run finds what changed and nothing else.
        state_file: demo-shop.json

  pipelines:
    daily:
      # Tables land as catalog.schema.table, here main.demo.users and so on.
      catalog: main
      schema: demo
      ingestion_definition:
        connection_name: demo
        objects:
          - table:
              source_table: users
          - table:
              source_table: orders
              destination_table: customer_orders
              table_configuration:
                # SCD_TYPE_1 keeps the newest row of a key, SCD_TYPE_2 every version of it, APPEND_ONLY every row.
                scd_type: SCD_TYPE_1
                # exclude_columns: [items]
                # row_filter: status = 'open'
          - table:
              source_table: products
          - table:
              source_table: events
`;
