/** What may be written of a kind of objects. */
export interface WritableKind {
  /** Parameters of a create; those that must be there end in `!`. */
  readonly create: string;
  /** Parameters of an update; null: there is none. */
  readonly update: string | null;
  /** How objects are deleted, if they can be. */
  readonly deletes?: 'deleted' | 'draft' | 'canceled';
  /** Fields of a new object that no parameter gives. */
  readonly fresh?: Readonly<Record<string, string | number | boolean | null>>;
  /** Type of the event of a create where it is another one; null: none. */
  readonly createEvent?: null;
  /** Type of the event of an update where it is another one; null: none. */
  readonly updateEvent?: string | null;
  /** What can be done by `POST /{id}/{action}`: the status that follows, and the type of its event. */
  readonly actions?: Readonly<Record<string, {readonly status: string; readonly event: string}>>;
}

/**
 * What Stripe lets write, by kind. Kinds that are not here are made by Stripe itself, or by what others do.
 * @see https://docs.stripe.com/api
 */
export const WRITABLE: Readonly<Record<string, WritableKind>> = {
  customers: {
    create: 'name email description phone metadata',
    update: 'name email description phone metadata',
    deletes: 'deleted',
  },
  products: {
    create: 'name! description active url metadata',
    update: 'name description active url metadata',
    deletes: 'deleted',
  },
  prices: {
    create: 'currency! product! unit_amount nickname active recurring metadata',
    update: 'nickname active metadata',
    fresh: {active: true},
  },
  plans: {
    create: 'currency! interval! product! amount nickname active metadata',
    update: 'nickname active metadata',
    deletes: 'deleted',
  },
  coupons: {
    create: 'duration! percent_off amount_off currency name metadata',
    update: 'name metadata',
    deletes: 'deleted',
  },
  promotion_codes: {create: 'promotion! code active max_redemptions metadata', update: 'active metadata'},
  tax_rates: {
    create: 'display_name! inclusive! percentage! description active metadata',
    update: 'display_name description active metadata',
  },
  subscriptions: {
    create: 'customer! items! collection_method days_until_due description metadata',
    update: 'description collection_method days_until_due metadata',
    deletes: 'canceled',
    fresh: {status: 'active'},
  },
  subscription_schedules: {
    create: 'from_subscription customer metadata',
    update: 'end_behavior metadata',
    fresh: {status: 'active'},
    actions: {cancel: {status: 'canceled', event: 'subscription_schedule.canceled'}},
  },
  invoices: {
    create: 'customer! description auto_advance collection_method days_until_due metadata',
    update: 'description metadata',
    deletes: 'draft',
    fresh: {status: 'draft'},
  },
  invoice_items: {
    create: 'customer! invoice amount currency description metadata',
    update: 'amount description metadata',
    deletes: 'deleted',
    updateEvent: null,
  },
  charges: {create: '', update: 'description metadata', updateEvent: 'charge.updated'},
  payment_intents: {
    create: 'amount! currency! payment_method payment_method_types confirm description metadata',
    update: 'description metadata',
    updateEvent: null,
    fresh: {status: 'requires_payment_method', canceled_at: null},
    actions: {cancel: {status: 'canceled', event: 'payment_intent.canceled'}},
  },
  setup_intents: {
    create: 'payment_method_types description metadata',
    update: 'description metadata',
    updateEvent: null,
    fresh: {status: 'requires_payment_method'},
    actions: {cancel: {status: 'canceled', event: 'setup_intent.canceled'}},
  },
  checkout_sessions: {
    create: 'mode! success_url! line_items client_reference_id metadata',
    update: 'metadata',
    createEvent: null,
    updateEvent: null,
    fresh: {status: 'open'},
    actions: {expire: {status: 'expired', event: 'checkout.session.expired'}},
  },
  refunds: {create: 'payment_intent charge amount reason metadata', update: 'metadata', fresh: {status: 'succeeded'}},
  payouts: {create: 'amount! currency! description metadata', update: 'metadata', fresh: {status: 'pending'}},
  topups: {
    create: 'amount! currency! description metadata',
    update: 'description metadata',
    updateEvent: null,
    fresh: {status: 'pending'},
    actions: {cancel: {status: 'canceled', event: 'topup.canceled'}},
  },
};
