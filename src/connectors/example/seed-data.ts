import {seededRandom, type PlainJson, type Random} from '../../sdk/index.ts';
import type {ApiRow} from './api-state.ts';

/** What the API's first data is made from: equal options give equal data. */
export interface SeedOptions {
  readonly seed: number;
  /** Milliseconds since 1970: stamps of the data begin here. */
  readonly baseMs: number;
  /** Rows in a row that share a stamp; 1: none do. */
  readonly ties: number;
}

const ROWS = {products: 53, events: 101, users: 37, orders: 103, metrics: 253} as const;
/** Share of the values of nullable columns that are null. */
const NULLS = 0.2;

/** The first rows of all tables. Stamps grow by a minute (users, metrics) or a second (events, orders): most metrics lie ahead of the base by hours. */
export function seedTables(options: SeedOptions): {readonly [table: string]: readonly ApiRow[]} {
  const random = seededRandom(options.seed);
  const stamp = (index: number, stepMs: number): string =>
    new Date(options.baseMs + Math.ceil((index + 1) / options.ties) * stepMs).toISOString();
  const many = (count: number, row: (index: number) => ApiRow): readonly ApiRow[] =>
    Array.from({length: count}, (_, index) => row(index));
  return {
    products: many(ROWS.products, (index) => product(index + 1, random)),
    events: many(ROWS.events, (index) => event(index + 1, stamp(index, 1000), random)),
    users: many(ROWS.users, (index) => user(index + 1, stamp(index, 60_000), random)),
    orders: many(ROWS.orders, (index) => order(index + 1, stamp(index, 1000), random)),
    metrics: many(ROWS.metrics, (index) => metric(index + 1, stamp(index, 60_000), random)),
  };
}

function product(id: number, random: Random): ApiRow {
  return {
    product_id: `P-${String(id).padStart(4, '0')}`,
    name: `Product ${id}`,
    category: pick(['tools', 'books', 'toys', 'garden'], random),
    price: maybe(cents(random, 20_000) / 100, random),
    stock: maybe(Math.floor(random() * 500), random),
  };
}

function event(id: number, createdAt: string, random: Random): ApiRow {
  return {
    event_id: `E-${String(id).padStart(6, '0')}`,
    event_type: pick(['login', 'view', 'purchase', 'logout'], random),
    user_id: maybe(1 + Math.floor(random() * ROWS.users), random),
    properties: maybe(
      {page: pick(['/', '/cart', '/help'], random), duration_ms: Math.floor(random() * 10_000)},
      random,
    ),
    created_at: createdAt,
  };
}

function user(id: number, updatedAt: string, random: Random): ApiRow {
  return {
    user_id: id,
    name: `User ${id}`,
    email: maybe(`user${id}@example.com`, random),
    country: maybe(pick(['NL', 'DE', 'US', 'JP'], random), random),
    signed_up_on: maybe(`2025-${two(1 + Math.floor(random() * 12))}-${two(1 + Math.floor(random() * 28))}`, random),
    updated_at: updatedAt,
  };
}

function order(id: number, updatedAt: string, random: Random): ApiRow {
  return {
    order_id: id,
    user_id: 1 + Math.floor(random() * ROWS.users),
    status: pick(['open', 'paid', 'shipped'], random),
    amount: maybe((cents(random, 100_000) / 100).toFixed(2), random),
    items: maybe(1 + Math.floor(random() * 9), random),
    updated_at: updatedAt,
  };
}

function metric(id: number, updatedAt: string, random: Random): ApiRow {
  const value = {
    count: Math.floor(random() * 100),
    label: maybe(pick(['low', 'high'], random), random),
    measure: maybe(random() * 10, random),
  };
  return {metric_id: id, host: pick(['a', 'b', 'c'], random), value: maybe(value, random), updated_at: updatedAt};
}

function pick<Value>(values: readonly Value[], random: Random): Value {
  return values[Math.floor(random() * values.length)] as Value;
}

function maybe<Value extends PlainJson>(value: Value, random: Random): Value | null {
  return random() < NULLS ? null : value;
}

function cents(random: Random, below: number): number {
  return Math.floor(random() * below);
}

function two(value: number): string {
  return String(value).padStart(2, '0');
}
