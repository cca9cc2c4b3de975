/** A kind of object as the simulator keeps it. */
export interface StripeKind {
  /** Path of its list below `/v1`. */
  readonly path: string;
  /** What ids begin with. */
  readonly prefix: string;
  /** Types of the events that its changes cause; null: none. */
  readonly created: string | null;
  readonly updated: string | null;
  readonly deleted?: string;
  /** Field with the time of creation. Default `created`. */
  readonly createdField?: string;
  /** The list shows only these unless a filter asks for others. */
  readonly shown?: {readonly field: string; readonly values: readonly unknown[]};
  readonly children?: StripeChildren;
}

/** Objects that live in another one. */
export interface StripeChildren {
  /** Field of the parent with the first of them. */
  readonly field: string;
  /** Samples that they are made from. */
  readonly kind: string;
  readonly prefix: string;
  /** Field of the child with the id of its parent. */
  readonly parentField: string;
  /** So many come with their parent. */
  readonly embedded: number;
}

/** The kinds by the names of their samples. */
export const STRIPE_KINDS: Readonly<Record<string, StripeKind>> = {
  customers: {...evented('customers', 'cus', 'customer'), deleted: 'customer.deleted'},
  products: {...evented('products', 'prod', 'product'), deleted: 'product.deleted'},
  prices: {
    ...evented('prices', 'price', 'price'),
    deleted: 'price.deleted',
    shown: {field: 'active', values: [true]},
  },
  plans: {...evented('plans', 'plan', 'plan'), deleted: 'plan.deleted'},
  coupons: {...evented('coupons', 'coup', 'coupon'), deleted: 'coupon.deleted'},
  promotion_codes: evented('promotion_codes', 'promo', 'promotion_code'),
  tax_rates: evented('tax_rates', 'txr', 'tax_rate'),
  subscriptions: {
    ...evented('subscriptions', 'sub', 'customer.subscription'),
    shown: {field: 'status', values: ['active', 'trialing', 'past_due', 'unpaid', 'incomplete', 'paused']},
    children: {
      field: 'items',
      kind: 'subscription_items',
      prefix: 'si',
      parentField: 'subscription',
      embedded: 10,
    },
  },
  subscription_schedules: evented('subscription_schedules', 'sub_sched', 'subscription_schedule'),
  invoices: {
    ...evented('invoices', 'in', 'invoice'),
    deleted: 'invoice.deleted',
    children: {field: 'lines', kind: 'invoice_lines', prefix: 'il', parentField: 'invoice', embedded: 10},
  },
  invoice_items: {
    ...evented('invoiceitems', 'ii', 'invoiceitem'),
    updated: null,
    deleted: 'invoiceitem.deleted',
    createdField: 'date',
  },
  credit_notes: evented('credit_notes', 'cn', 'credit_note'),
  charges: {...evented('charges', 'ch', 'charge'), created: 'charge.succeeded'},
  payment_intents: {...evented('payment_intents', 'pi', 'payment_intent'), updated: 'payment_intent.succeeded'},
  setup_intents: {...evented('setup_intents', 'seti', 'setup_intent'), updated: 'setup_intent.succeeded'},
  checkout_sessions: {
    ...evented('checkout/sessions', 'cs', 'checkout.session'),
    created: 'checkout.session.completed',
    updated: 'checkout.session.expired',
  },
  refunds: evented('refunds', 're', 'refund'),
  disputes: evented('disputes', 'du', 'charge.dispute'),
  reviews: {...evented('reviews', 'prv', 'review'), created: 'review.opened', updated: 'review.closed'},
  payouts: evented('payouts', 'po', 'payout'),
  transfers: evented('transfers', 'tr', 'transfer'),
  topups: {...evented('topups', 'tu', 'topup'), updated: 'topup.succeeded'},
  balance_transactions: {path: 'balance_transactions', prefix: 'txn', created: null, updated: null},
};

function evented(path: string, prefix: string, name: string): StripeKind {
  return {path, prefix, created: `${name}.created`, updated: `${name}.updated`};
}
