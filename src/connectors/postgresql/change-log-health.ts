import type {LogHealth} from '../../sdk/index.ts';
import {slotState} from './publication.ts';
import type {Session} from './session.ts';

/** How the server keeps the log for a slot. */
export async function healthOf(session: Session, slot: string): Promise<LogHealth> {
  const state = await slotState(session, slot);
  if (state === null) return {state: 'missing', message: `The server has no replication slot "${slot}".`};
  const {retainedBytes, safeBytes, invalidation, walStatus} = state;
  if (invalidation !== null)
    return {state: 'lost', message: `The replication slot "${slot}" was invalidated: ${invalidation}.`};
  const danger = safeBytes === null ? {} : {bytesToDanger: Math.max(0, safeBytes)};
  if (walStatus === 'unreserved') {
    return {
      state: 'at_risk',
      retainedBytes,
      ...danger,
      message: `The replication slot "${slot}" is beyond max_slot_wal_keep_size: the next checkpoint may take its log away.`,
    };
  }
  return {state: 'ok', retainedBytes, ...danger};
}
