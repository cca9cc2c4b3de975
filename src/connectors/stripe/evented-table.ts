/** An object of Stripe as a table: where it is listed, and which events tell of its changes. */
export interface EventedTable {
  readonly name: string;
  readonly description: string;
  /** Path of the list; an object is at `<path>/<id>`. */
  readonly path: string;
  /** The list is read once with each of these filters. Default: once, without any. */
  readonly passes?: readonly Readonly<Record<string, string>>[];
  /** Types of events whose object is the row as it is now; at most twenty with `deletes`. */
  readonly events: readonly string[];
  /** Types of events after which the object is no longer there. */
  readonly deletes?: readonly string[];
  /** Field with the time of creation, by which lists are sorted. Default `created`. */
  readonly created?: string;
  /** Fields that are no columns: lists of children, and secrets of clients. */
  readonly omit?: readonly string[];
  /** Columns that change without an event, with the reason: they are not compared with the source. */
  readonly volatile?: Readonly<Record<string, string>>;
  /** The rows are the children of the listed objects, not the objects. */
  readonly children?: ChildList;
}

/** A list within an object, whose items are the rows of a table. */
export interface ChildList {
  /** Column of the child with the id of its parent. */
  readonly parent: string;
  /** Field of the parent that holds the first items, and whether there are more. */
  readonly field: string;
  /** Request for all items of a parent. */
  readonly list: (parentId: string) => {readonly path: string; readonly query: Readonly<Record<string, string>>};
}

const NO_EVENT = 'changes without an event';
const NEW_ADDRESS = 'the address may be another one in every answer';

const SUBSCRIPTION_EVENTS: readonly string[] = [
  'created',
  'updated',
  // The end of a subscription is a state of it: the object stays.
  'deleted',
  'paused',
  'resumed',
  'pending_update_applied',
  'pending_update_expired',
  'trial_will_end',
].map((name) => `customer.subscription.${name}`);

const INVOICE_EVENTS: readonly string[] = [
  'created',
  'finalization_failed',
  'finalized',
  'marked_uncollectible',
  'overdue',
  'overpaid',
  'paid',
  'payment_action_required',
  'payment_attempt_required',
  'payment_failed',
  'payment_succeeded',
  'sent',
  'updated',
  'voided',
  'will_be_due',
].map((name) => `invoice.${name}`);

const SUBSCRIPTIONS = {
  path: '/v1/subscriptions',
  passes: [{status: 'all'}],
  events: SUBSCRIPTION_EVENTS,
} as const satisfies Partial<EventedTable>;

const INVOICES = {
  path: '/v1/invoices',
  events: INVOICE_EVENTS,
  deletes: ['invoice.deleted'],
} as const satisfies Partial<EventedTable>;

/**
 * The tables that are listed once and then follow the log of events.
 * @see https://docs.stripe.com/api/events/types
 */
export const EVENTED_TABLES: readonly EventedTable[] = [
  {
    name: 'customers',
    description: 'Customers.',
    path: '/v1/customers',
    events: ['customer.created', 'customer.updated'],
    deletes: ['customer.deleted'],
    omit: ['sources', 'subscriptions', 'tax_ids'],
  },
  {
    name: 'products',
    description: 'Products, active or not.',
    path: '/v1/products',
    events: ['product.created', 'product.updated'],
    deletes: ['product.deleted'],
  },
  {
    name: 'prices',
    description: 'Prices, active or not.',
    path: '/v1/prices',
    // Without the filter the list may leave inactive prices out.
    passes: [{active: 'true'}, {active: 'false'}],
    events: ['price.created', 'price.updated'],
    deletes: ['price.deleted'],
  },
  {
    name: 'plans',
    description: 'Plans, the forerunners of prices.',
    path: '/v1/plans',
    events: ['plan.created', 'plan.updated'],
    deletes: ['plan.deleted'],
  },
  {
    name: 'coupons',
    description: 'Coupons. `times_redeemed` and `valid` change without an event.',
    path: '/v1/coupons',
    events: ['coupon.created', 'coupon.updated'],
    deletes: ['coupon.deleted'],
    volatile: {times_redeemed: NO_EVENT, valid: NO_EVENT},
  },
  {
    name: 'promotion_codes',
    description: 'Promotion codes.',
    path: '/v1/promotion_codes',
    events: ['promotion_code.created', 'promotion_code.updated'],
    volatile: {times_redeemed: NO_EVENT},
  },
  {
    name: 'tax_rates',
    description: 'Tax rates.',
    path: '/v1/tax_rates',
    events: ['tax_rate.created', 'tax_rate.updated'],
  },
  {
    name: 'subscriptions',
    description: 'Subscriptions in every status; ended ones stay.',
    ...SUBSCRIPTIONS,
    omit: ['items'],
  },
  {
    name: 'subscription_items',
    description: 'Items of subscriptions; items that were taken out of a subscription are deleted.',
    ...SUBSCRIPTIONS,
    children: {
      parent: 'subscription',
      field: 'items',
      list: (subscription) => ({path: '/v1/subscription_items', query: {subscription}}),
    },
  },
  {
    name: 'subscription_schedules',
    description: 'Schedules of subscriptions.',
    path: '/v1/subscription_schedules',
    events: ['aborted', 'canceled', 'completed', 'created', 'expiring', 'released', 'updated'].map(
      (name) => `subscription_schedule.${name}`,
    ),
  },
  {
    name: 'invoices',
    description: 'Invoices; drafts may be deleted.',
    ...INVOICES,
    omit: ['lines', 'payments', 'confirmation_secret'],
    volatile: {hosted_invoice_url: NEW_ADDRESS, invoice_pdf: NEW_ADDRESS},
  },
  {
    name: 'invoice_lines',
    description: 'Lines of invoices; lines that were taken out of a draft are deleted.',
    ...INVOICES,
    children: {
      parent: 'invoice',
      field: 'lines',
      list: (invoice) => ({path: `/v1/invoices/${encodeURIComponent(invoice)}/lines`, query: {}}),
    },
  },
  {
    name: 'invoice_items',
    description: 'Pending and invoiced items. Stripe sends no event when one is changed: see the README.',
    path: '/v1/invoiceitems',
    events: ['invoiceitem.created'],
    deletes: ['invoiceitem.deleted'],
    created: 'date',
  },
  {
    name: 'credit_notes',
    description: 'Credit notes.',
    path: '/v1/credit_notes',
    events: ['credit_note.created', 'credit_note.updated', 'credit_note.voided'],
    omit: ['lines'],
  },
  {
    name: 'charges',
    description: 'Charges.',
    path: '/v1/charges',
    events: ['captured', 'expired', 'failed', 'pending', 'refunded', 'succeeded', 'updated'].map(
      (name) => `charge.${name}`,
    ),
    omit: ['refunds'],
    volatile: {receipt_url: NEW_ADDRESS},
  },
  {
    name: 'payment_intents',
    description: 'Payment intents, without their client secrets.',
    path: '/v1/payment_intents',
    events: [
      'amount_capturable_updated',
      'canceled',
      'created',
      'partially_funded',
      'payment_failed',
      'processing',
      'requires_action',
      'succeeded',
    ].map((name) => `payment_intent.${name}`),
    omit: ['client_secret'],
  },
  {
    name: 'setup_intents',
    description: 'Setup intents, without their client secrets.',
    path: '/v1/setup_intents',
    events: ['canceled', 'created', 'requires_action', 'setup_failed', 'succeeded'].map(
      (name) => `setup_intent.${name}`,
    ),
    omit: ['client_secret'],
  },
  {
    name: 'checkout_sessions',
    description: 'Checkout sessions: open ones as they were when the table was first read.',
    path: '/v1/checkout/sessions',
    events: ['async_payment_failed', 'async_payment_succeeded', 'completed', 'expired'].map(
      (name) => `checkout.session.${name}`,
    ),
    omit: ['client_secret', 'line_items'],
  },
  {
    name: 'refunds',
    description: 'Refunds.',
    path: '/v1/refunds',
    events: ['refund.created', 'refund.updated', 'refund.failed', 'charge.refund.updated'],
  },
  {
    name: 'disputes',
    description: 'Disputes.',
    path: '/v1/disputes',
    events: ['closed', 'created', 'funds_reinstated', 'funds_withdrawn', 'updated'].map(
      (name) => `charge.dispute.${name}`,
    ),
  },
  {
    name: 'reviews',
    description: 'Reviews of payments.',
    path: '/v1/reviews',
    events: ['review.opened', 'review.closed'],
  },
  {
    name: 'payouts',
    description: 'Payouts.',
    path: '/v1/payouts',
    events: ['canceled', 'created', 'failed', 'paid', 'reconciliation_completed', 'updated'].map(
      (name) => `payout.${name}`,
    ),
  },
  {
    name: 'transfers',
    description: 'Transfers to connected accounts.',
    path: '/v1/transfers',
    events: ['transfer.created', 'transfer.reversed', 'transfer.updated'],
    omit: ['reversals'],
  },
  {
    name: 'topups',
    description: 'Top-ups of the balance.',
    path: '/v1/topups',
    events: ['canceled', 'created', 'failed', 'reversed', 'succeeded'].map((name) => `topup.${name}`),
  },
];
