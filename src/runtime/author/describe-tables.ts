import type {Clock} from '../../core/clock.ts';
import {typeToDdl} from '../../core/schema-ddl.ts';
import type {OptionValue, TableOptions} from '../../sdk/contract.ts';
import type {ConnectorDefinition} from '../../sdk/define-connector.ts';
import {resolveConnectionOptions, resolveOptions} from '../../sdk/options.ts';
import {readContextOf, silentLog} from '../read-context.ts';

/** A table as its connector describes it. */
export interface DescribedTable {
  readonly name: string;
  readonly ingestionType: string;
  readonly primaryKeys: readonly string[];
  readonly cursorField: string | null;
  readonly comment: string | null;
  readonly columns: readonly {
    readonly name: string;
    /** As DDL. */
    readonly type: string;
    readonly nullable: boolean;
    readonly comment: string | null;
  }[];
}

/** Where a connector is asked about its tables. */
export interface DescribeRequest {
  readonly definition: ConnectorDefinition;
  readonly options: Readonly<Record<string, OptionValue>>;
  readonly clock: Clock;
  readonly tableOptions: Readonly<Record<string, TableOptions>>;
  readonly signal: AbortSignal;
}

/** Asks a connector for its tables, columns and keys, in the order it lists them. @throws what the connector throws */
export async function describeTables(request: DescribeRequest): Promise<readonly DescribedTable[]> {
  const {definition, clock, signal} = request;
  const connector = definition.create({
    options: resolveConnectionOptions(definition.spec, request.options, 'the connection'),
    clock,
    random: Math.random,
    connectionName: 'docs',
  });
  const files = {
    list: () => Promise.resolve([]),
    inferSchema: () => Promise.resolve({type: 'struct' as const, fields: []}),
  };
  const ctx = readContextOf({signal, clock, log: silentLog, files, triggerStartedAt: clock.nowMicros()});
  try {
    const described: DescribedTable[] = [];
    for (const name of await connector.listTables(ctx)) {
      const options = resolveOptions(definition.spec.table, request.tableOptions[name] ?? {}, name);
      const schema = await connector.getTableSchema(name, options, ctx);
      const metadata = await connector.readTableMetadata(name, options, ctx);
      described.push({
        name,
        ingestionType: metadata.ingestionType,
        primaryKeys: metadata.primaryKeys,
        cursorField: metadata.cursorField ?? null,
        comment: metadata.comment ?? null,
        columns: schema.fields.map((field) => ({
          name: field.name,
          type: typeToDdl(field.type),
          nullable: field.nullable,
          comment: typeof field.metadata['comment'] === 'string' ? field.metadata['comment'] : null,
        })),
      });
    }
    return described;
  } finally {
    await connector.close?.();
  }
}
