import type {ApplyEngine} from '../apply/apply-engine.ts';
import type {Random} from '../core/clock.ts';
import type {DeltaContext} from '../delta/delta-table.ts';
import type {ConnectorLog, SourceFiles} from '../sdk/contract.ts';
import type {FlowProgress} from './events.ts';
import type {ExtractRunner} from './extract-runner.ts';
import type {OpenConnector} from './resolve-flow.ts';
import type {ResolvedFlow} from './resolved-flow.ts';
import type {ConnectionSpec} from './spec.ts';
import type {TableVerdict} from './verify-verdict.ts';

/** A remark about a flow that is no failure; lands in the event log. */
export interface FlowNote {
  readonly level: 'INFO' | 'WARN' | 'ERROR';
  /** Null: about the whole pipeline. */
  readonly flow: string | null;
  readonly code: string;
  readonly message: string;
}

/** What the flows of one pipeline share in one update. */
export interface FlowServices {
  readonly pipelineKey: string;
  readonly connection: ConnectionSpec;
  readonly open: OpenConnector;
  readonly context: DeltaContext;
  readonly apply: ApplyEngine;
  readonly extract: ExtractRunner;
  readonly files: SourceFiles;
  readonly log: ConnectorLog;
  readonly random: Random;
  readonly report: (progress: FlowProgress) => void;
  readonly note: (note: FlowNote) => void;
  /** A flow knows what it lands, in the names and types of its table. */
  readonly defined?: (flow: ResolvedFlow) => void;
  /** A flow's table was compared with its source. */
  readonly verified?: (flow: ResolvedFlow, verdict: TableVerdict) => void;
}
