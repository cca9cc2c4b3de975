import {IngestError} from '../../core/errors.ts';
import {parseJson, stringifyJson} from '../../core/json-reader.ts';
import type {JsonObject} from '../../core/json-value.ts';
import type {Partition} from '../contract.ts';
import {listPartitions} from './partition-list.ts';
import type {CustomParts} from './read-plan.ts';
import {pagesOfCustom, readPlan} from './read-plans.ts';
import type {Partitions, RestTable} from './rest-spec.ts';
import {expanded, type TableParts} from './table-parts.ts';
import {windowParts} from './window-parts.ts';

/**
 * How the reads of a table are cut; null: they are not. Deletes among the rows and lists of deletes come by `readTable`; plans with an
 * offset for each of their partitions go on at any page after a kill, which partitions of the contract would not.
 */
export function partsOfTable(table: RestTable): TableParts | null {
  const {read, partitions, ingestionType, deletes} = table;
  if (ingestionType === 'cdc_with_deletes' || deletes?.kind === 'stream') return null;
  if (partitions !== undefined) return ingestionType === 'snapshot' ? declaredParts(partitions) : null;
  if (read.kind === 'window') return windowParts(read, table);
  return read.kind === 'custom' && read.parts !== undefined ? customParts(read.parts) : null;
}

/** One part for each declared partition of a table that is read whole. */
function declaredParts(partitions: Partitions): TableParts {
  return {
    isCut: (start) => start === null,
    end: () => Promise.resolve(null),
    async list(_, call, find) {
      const parts: Partition[] = [];
      // As text: values of parents may be numbers that plain JSON does not hold.
      for await (const {key, parents} of listPartitions(partitions, call, find))
        parts.push({key, parents: stringifyJson(parents)});
      return parts;
    },
    read({key, parents}, call) {
      const all = typeof parents === 'string' ? (parseJson(parents) as readonly JsonObject[]) : [];
      const scope = {...call.scope, parent: all[0] ?? {}, parents: all};
      const inner = {...call, scope, ledgerPrefix: `${call.ledgerPrefix}p:${String(key)}:`};
      return expanded(call.table.expand, (own) => readPlan(call.table.read, null, own), inner);
    },
  };
}

function customParts(parts: CustomParts): TableParts {
  return {
    isCut: (start, {option}) => parts.when?.(option) !== false && (parts.isCut?.(start) ?? start === null),
    end: (start, call) => parts.end(start, call.call),
    list({start, end}, call) {
      if (end !== null) return parts.list({start, end}, call.call);
      throw new IngestError('CONTRACT_VIOLATION', `The parts of table "${call.table.name}" have no end.`, {
        fix: 'Ask latestOffset for it, and give it to getPartitions.',
        context: {table: call.table.name},
      });
    },
    read: (part, call) => expanded(call.table.expand, (own) => pagesOfCustom(parts.read(part, own.call), own), call),
  };
}
