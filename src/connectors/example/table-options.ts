import type {OptionSpecs} from '../../sdk/index.ts';

/** Options that some of the tables take. */
export const TABLE_OPTIONS: OptionSpecs = {
  category: {type: 'string', description: 'products: only this category.'},
  limit: {type: 'integer', min: 1, max: 50, default: 50, description: 'events: rows of one call.'},
  user_id: {type: 'integer', description: 'orders: only those of this user.'},
  status: {
    type: 'string',
    description: 'orders: only those with this status when they are read; one that leaves it stays as it was.',
  },
  window_seconds: {
    type: 'integer',
    min: 1,
    default: 3600,
    description: 'metrics: length of the time windows in which they are read.',
  },
  start_timestamp: {
    type: 'string',
    description: 'All but products: where the first read begins, itself included; default: at the oldest row.',
  },
  lookback_seconds: {
    type: 'integer',
    min: 0,
    description:
      'users, orders, metrics: how far before the last offset every run reads again, for rows that come late; default: 0, metrics 60.',
  },
};

/** Which table takes which; given to another one they are refused. */
export const TAKEN: Readonly<Record<string, readonly string[]>> = {
  products: ['category'],
  events: ['limit', 'start_timestamp'],
  users: ['start_timestamp', 'lookback_seconds'],
  orders: ['user_id', 'status', 'start_timestamp', 'lookback_seconds'],
  metrics: ['window_seconds', 'start_timestamp', 'lookback_seconds'],
};
