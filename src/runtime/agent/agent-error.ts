import type {ErrorCode} from '../../core/error-codes.ts';
import type {AgentErrorCode} from './agent-operations.ts';

const CODES: Readonly<Partial<Record<ErrorCode | 'INTERNAL', AgentErrorCode>>> = {
  AUTH_FAILED: 'auth_failed',
  MISSING_SECRET: 'auth_failed',
  PERMISSION_DENIED: 'permission_denied',
  THROTTLED: 'rate_limited',
  UNKNOWN_TABLE: 'not_found',
  UNKNOWN_COLUMN: 'not_found',
  UNKNOWN_CONNECTOR: 'not_found',
  INVALID_SPEC: 'bad_request',
  INVALID_OPTION: 'bad_request',
  INVALID_PREDICATE: 'bad_request',
  MISSING_KEY: 'bad_request',
  MISSING_SEQUENCE: 'bad_request',
  UNBOUNDED_TABLE: 'bad_request',
  UNSUPPORTED: 'unsupported',
  CONNECTION_FAILED: 'connection_failed',
  SOURCE_ERROR: 'connection_failed',
};

/** The agent's word for an error of ours. */
export function agentErrorCode(code: ErrorCode | 'INTERNAL'): AgentErrorCode {
  return CODES[code] ?? 'internal_error';
}
