import type {HttpQuery, JsonObject, JsonValue} from '../../sdk/index.ts';
import type {ProofApi, ProofWrites} from '../../testkit/index.ts';

/**
 * What is written to Stripe to see whether it is read; of a real account only with a test key. Tables that are not here have no
 * endpoint that makes an object by itself (disputes, reviews, transfers without a connected account, credit notes without a paid
 * invoice).
 */
export const STRIPE_WRITES: Readonly<Record<string, ProofWrites>> = {
  customers: object('customers', {
    create: (mark) => ({name: mark, email: `${mark}@example.com`, description: 'first text'}),
    change: {description: 'second text'},
    remove: 'delete',
  }),
  products: object('products', {
    create: (mark) => ({name: mark, description: 'first text'}),
    change: {description: 'second text'},
    remove: 'delete',
  }),
  prices: object('prices', {
    create: async (mark, api) => ({
      currency: 'usd',
      unit_amount: 1999,
      nickname: mark,
      product: await made(api, 'products', {name: mark}),
    }),
    change: {nickname: 'another name', active: false},
  }),
  plans: object('plans', {
    create: async (mark, api) => ({
      currency: 'usd',
      interval: 'month',
      amount: 1999,
      nickname: mark,
      product: await made(api, 'products', {name: mark}),
    }),
    change: {nickname: 'another name'},
    remove: 'delete',
  }),
  coupons: object('coupons', {
    create: (mark) => ({duration: 'once', percent_off: 12.5, name: mark.slice(0, 40)}),
    change: {name: 'another name'},
    remove: 'delete',
  }),
  promotion_codes: object('promotion_codes', {
    create: async (mark, api) => ({
      code: mark.replaceAll('-', '').toUpperCase(),
      'promotion[type]': 'coupon',
      'promotion[coupon]': await made(api, 'coupons', {duration: 'once', percent_off: 10}),
    }),
    change: {active: false},
  }),
  tax_rates: object('tax_rates', {
    create: (mark) => ({display_name: 'VAT', inclusive: false, percentage: 19.5, description: mark}),
    change: {description: 'second text', active: false},
  }),
  subscriptions: object('subscriptions', {
    create: async (mark, api) => ({description: mark, ...(await newSubscription(api))}),
    change: {description: 'second text'},
  }),
  subscription_items: {
    async insert(_, api) {
      const subscription = await made(api, 'subscriptions', await newSubscription(api));
      const price = await newPrice(api);
      const item = await post(api, 'subscription_items', {subscription, price, quantity: 3});
      return {id: item['id'] ?? null, subscription, quantity: 3};
    },
    async update(_, {id}, api) {
      await post(api, `subscription_items/${text(id)}`, {quantity: 5});
      return {quantity: 5};
    },
    delete: (_, {id}, api) => remove(api, `subscription_items/${text(id)}`),
  },
  subscription_schedules: {
    async insert(_, api) {
      const subscription = await made(api, 'subscriptions', await newSubscription(api));
      const schedule = await post(api, 'subscription_schedules', {from_subscription: subscription});
      return columns(schedule, ['id', 'status', 'subscription']);
    },
    async update(_, {id}, api) {
      await post(api, `subscription_schedules/${text(id)}/cancel`, {});
      return {status: 'canceled'};
    },
  },
  invoices: object('invoices', {
    create: async (mark, api) => ({
      customer: await made(api, 'customers', {name: mark}),
      description: mark,
      auto_advance: false,
    }),
    change: {description: 'second text'},
    remove: 'delete',
  }),
  invoice_lines: {
    async insert(_, api) {
      const customer = await made(api, 'customers', {name: api.mark()});
      const invoice = await made(api, 'invoices', {customer, auto_advance: false});
      const description = api.mark();
      await post(api, 'invoiceitems', {customer, invoice, amount: 700, currency: 'usd', description});
      const [line = {}] = await listed(api, `invoices/${invoice}/lines`);
      return {id: line['id'] ?? null, invoice, amount: 700, description};
    },
    async delete(_, {invoice, id}, api) {
      const line = (await listed(api, `invoices/${text(invoice)}/lines`)).find((one) => one['id'] === id);
      const details = objectOf(objectOf(line?.['parent'])['invoice_item_details']);
      await remove(api, `invoiceitems/${text(details['invoice_item'])}`);
    },
  },
  invoice_items: object('invoiceitems', {
    create: async (mark, api) => ({
      customer: await made(api, 'customers', {name: mark}),
      amount: 700,
      currency: 'usd',
      description: mark,
    }),
    remove: 'delete',
  }),
  payment_intents: object('payment_intents', {
    create: (mark) => ({amount: 1999, currency: 'usd', description: mark}),
    action: {path: 'cancel', status: 'canceled'},
  }),
  setup_intents: object('setup_intents', {
    create: (mark) => ({'payment_method_types[]': 'card', description: mark}),
    action: {path: 'cancel', status: 'canceled'},
  }),
  charges: {
    async insert(_, api) {
      return {id: await newCharge(api), amount: 1999, currency: 'usd', status: 'succeeded'};
    },
    async update(_, {id}, api) {
      await post(api, `charges/${text(id)}`, {description: 'second text'});
      return {description: 'second text'};
    },
  },
  balance_transactions: {
    async insert(_, api) {
      const charge = await api.send({url: `/v1/charges/${await newCharge(api)}`});
      return {id: charge['balance_transaction'] ?? null, currency: 'usd'};
    },
  },
  refunds: {
    async insert(_, api) {
      const charge = await newCharge(api);
      const refund = await post(api, 'refunds', {charge, amount: 500, 'metadata[reason]': 'first text'});
      return {...columns(refund, ['id', 'metadata']), amount: 500, charge};
    },
    async update(_, {id}, api) {
      const refund = await post(api, `refunds/${text(id)}`, {'metadata[reason]': 'second text'});
      return columns(refund, ['metadata']);
    },
  },
  checkout_sessions: {
    async insert(_, api) {
      const session = await post(api, 'checkout/sessions', {
        mode: 'payment',
        success_url: 'https://example.com/thanks',
        'line_items[0][price]': await newPrice(api, {}),
        'line_items[0][quantity]': 1,
      });
      const {id = null} = session;
      // Open ones cause no event.
      await post(api, `checkout/sessions/${text(id)}/expire`, {});
      return {id, status: 'expired'};
    },
  },
  payouts: object('payouts', {
    create: () => ({amount: 100, currency: 'usd', 'metadata[reason]': 'first text'}),
    change: {'metadata[reason]': 'second text'},
  }),
  topups: object('topups', {
    create: (mark) => ({amount: 2000, currency: 'usd', description: mark}),
    action: {path: 'cancel', status: 'canceled'},
  }),
};

interface ObjectWrites {
  readonly create: (mark: string, api: ProofApi) => HttpQuery | Promise<HttpQuery>;
  /** Parameters of an update. */
  readonly change?: HttpQuery;
  /** What is done instead of an update, and the status that follows. */
  readonly action?: {readonly path: string; readonly status: string};
  readonly remove?: 'delete';
}

/** Objects whose parameters are their fields. */
function object(path: string, {create, change, action, remove: removal}: ObjectWrites): ProofWrites {
  return {
    async insert(_, api) {
      const given = await create(api.mark(), api);
      return columns(await post(api, path, given), ['id', ...fieldsOf(given)]);
    },
    ...(change === undefined
      ? {}
      : {
          async update(_, {id}, api) {
            return columns(await post(api, `${path}/${text(id)}`, change), fieldsOf(change));
          },
        }),
    ...(action === undefined
      ? {}
      : {
          async update(_, {id}, api) {
            await post(api, `${path}/${text(id)}/${action.path}`, {});
            return {status: action.status};
          },
        }),
    ...(removal === undefined ? {} : {delete: (_, {id}, api) => remove(api, `${path}/${text(id)}`)}),
  };
}

/** Fields that parameters are about and whose columns have them as they are. */
function fieldsOf(given: HttpQuery): readonly string[] {
  const names = Object.keys(given).map((name) => name.replace(/\[.*/, ''));
  return [...new Set(names)].filter((name) => name !== 'items' && name !== 'promotion');
}

async function newSubscription(api: ProofApi): Promise<HttpQuery> {
  return {
    customer: await made(api, 'customers', {name: api.mark()}),
    'items[0][price]': await newPrice(api),
    collection_method: 'send_invoice',
    days_until_due: 7,
  };
}

/** A price of a product of its own, of a month or once. */
async function newPrice(api: ProofApi, recurring: HttpQuery = {'recurring[interval]': 'month'}): Promise<string> {
  const product = await made(api, 'products', {name: api.mark()});
  return made(api, 'prices', {currency: 'usd', unit_amount: 1999, product, ...recurring});
}

/**
 * A charge of a test card.
 * @see https://docs.stripe.com/testing
 */
async function newCharge(api: ProofApi): Promise<string> {
  const intent = await post(api, 'payment_intents', {
    amount: 1999,
    currency: 'usd',
    payment_method: 'pm_card_visa',
    'payment_method_types[]': 'card',
    confirm: true,
  });
  return text(intent['latest_charge']);
}

/** The id of a new object. */
async function made(api: ProofApi, path: string, given: HttpQuery): Promise<string> {
  return text((await post(api, path, given))['id']);
}

/** A form, which its key makes safe to send again. */
function post(api: ProofApi, path: string, fields: HttpQuery): Promise<JsonObject> {
  return api.send({
    method: 'POST',
    url: `/v1/${path}`,
    headers: {'idempotency-key': api.mark()},
    isIdempotent: true,
    body: {kind: 'form', fields},
  });
}

async function remove(api: ProofApi, path: string): Promise<void> {
  await api.send({method: 'DELETE', url: `/v1/${path}`});
}

async function listed(api: ProofApi, path: string): Promise<readonly JsonObject[]> {
  const {data} = await api.send({url: `/v1/${path}`, query: {limit: 100}});
  return (Array.isArray(data) ? data : []).map(objectOf);
}

function columns(from: JsonObject, names: readonly string[]): JsonObject {
  return Object.fromEntries(names.map((name) => [name, from[name] ?? null]));
}

function objectOf(value: JsonValue | undefined): JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as JsonObject) : {};
}

function text(value: JsonValue | undefined): string {
  return value === undefined || value === null ? '' : String(value);
}
