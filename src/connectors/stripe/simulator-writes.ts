import type {JsonObject, JsonValue} from '../../sdk/index.ts';
import {json, type EndpointSpec, type SimulatedReply, type SimulatedRequest} from '../../simulator/index.ts';
import type {StripeAccount} from './simulator-account.ts';
import {formObject, typedFields} from './simulator-form.ts';
import {STRIPE_KINDS} from './simulator-kinds.ts';
import {WRITABLE, type WritableKind} from './simulator-writable.ts';

/** One kind that is written. */
interface Kind {
  readonly name: string;
  readonly writable: WritableKind;
}

/**
 * Creates, changes and deletes as Stripe takes them: forms with brackets, answers with the object, an event for each, and the same
 * answer again for the same idempotency key.
 */
export function writeEndpoints(account: () => StripeAccount): readonly EndpointSpec[] {
  const answered = new Map<string, SimulatedReply>();
  const writing =
    (write: (account: StripeAccount, request: SimulatedRequest) => SimulatedReply) =>
    (request: SimulatedRequest): SimulatedReply => {
      const key = request.headers['idempotency-key'];
      const known = key === undefined ? undefined : answered.get(key);
      if (known !== undefined) return known;
      const reply = write(account(), request);
      if (key !== undefined) answered.set(key, reply);
      return reply;
    };
  return [
    {path: '/subscription_items', method: 'POST', handler: writing(addItem)},
    {path: '/subscription_items/{id}', method: ['POST', 'DELETE'], handler: writing(changeItem)},
    ...Object.entries(WRITABLE).flatMap(([name, writable]): EndpointSpec[] => {
      const kind = {name, writable};
      const path = `/${STRIPE_KINDS[name]?.path ?? name}`;
      return [
        ...(writable.create === ''
          ? []
          : [{path, method: 'POST' as const, handler: writing((at, request) => create(at, kind, request))}]),
        {path: `${path}/{id}`, method: 'POST', handler: writing((at, request) => update(at, kind, request))},
        {path: `${path}/{id}`, method: 'DELETE', handler: writing((at, request) => remove(at, kind, request))},
        ...Object.keys(writable.actions ?? {}).map((action) => ({
          path: `${path}/{id}/${action}`,
          method: 'POST' as const,
          handler: writing((at, request) => act(at, {...kind, action}, request)),
        })),
      ];
    }),
  ];
}

function create(account: StripeAccount, {name, writable}: Kind, request: SimulatedRequest): SimulatedReply {
  const given = formObject(new URLSearchParams(request.text));
  const refusal = wrongParams(writable.create, given) ?? missingParams(writable.create, given);
  if (refusal !== null) return refusal;
  const {items, confirm, line_items: _, from_subscription: from, ...fields} = given;
  const typed = {...writable.fresh, ...typedFields(fields, account.sample(name)), ...subscriptionOf(from)};
  const isPaid = name === 'payment_intents' && confirm === 'true';
  if (name === 'invoice_items') return createInvoiceItem(account, typed);
  if (name === 'refunds') return createRefund(account, typed);
  const children = name === 'subscriptions' ? itemsOf(items) : name === 'invoices' ? [] : undefined;
  const event = isPaid ? 'payment_intent.succeeded' : writable.createEvent;
  const object = account.create(name, isPaid ? {...typed, ...paid(account, typed)} : typed, {
    ...(event === undefined ? {} : {event}),
    ...(children === undefined ? {} : {children}),
  });
  return json(object);
}

function subscriptionOf(from: JsonValue | undefined): JsonObject {
  return from === undefined ? {} : {subscription: from};
}

/** A payment that is confirmed has a charge, and moves the balance. */
function paid(account: StripeAccount, {amount = 0, currency = 'usd'}: JsonObject): JsonObject {
  const moved = account.create('balance_transactions', {amount, currency, type: 'charge'});
  const charge = account.create('charges', {
    amount,
    currency,
    balance_transaction: moved['id'] ?? null,
    status: 'succeeded',
  });
  return {status: 'succeeded', latest_charge: charge['id'] ?? null, amount_received: amount};
}

/** A refund is of a payment or of a charge, and changes its charge. */
function createRefund(account: StripeAccount, fields: JsonObject): SimulatedReply {
  const {payment_intent: intent, charge: given = null} = fields;
  const payment = intent === undefined ? undefined : account.object('payment_intents', String(intent));
  const id = String(payment?.['latest_charge'] ?? given ?? '');
  const charge = account.object('charges', id);
  if (charge === undefined) return missing(id, 'charge');
  const amount = fields['amount'] ?? charge['amount'] ?? null;
  account.update('charges', id, {amount_refunded: amount, refunded: true}, 'charge.refunded');
  return json(account.create('refunds', {status: 'succeeded', ...fields, amount, charge: id}));
}

/** An item of an invoice is a line of it as well. */
function createInvoiceItem(account: StripeAccount, fields: JsonObject): SimulatedReply {
  const {invoice, amount = 0, description = null, currency = 'usd'} = fields;
  if (invoice !== undefined && account.object('invoices', String(invoice)) === undefined)
    return missing(String(invoice), 'invoice');
  const item = account.create('invoice_items', fields);
  const parent = {type: 'invoice_item_details', invoice_item_details: {invoice_item: item['id'] ?? null}};
  if (invoice !== undefined)
    account.addChild('invoices', String(invoice), {amount, description, currency, parent, metadata: {}});
  return json(item);
}

function update(account: StripeAccount, {name, writable}: Kind, request: SimulatedRequest): SimulatedReply {
  const id = request.params['id'] ?? '';
  const given = formObject(new URLSearchParams(request.text));
  const refusal = wrongParams(writable.update ?? '', given);
  if (refusal !== null) return refusal;
  const before = account.object(name, id);
  if (before === undefined) return missing(id);
  const fields = typedFields(given, account.sample(name));
  // Keys of metadata that a request does not name stay.
  const metadata = isObject(fields['metadata'])
    ? {metadata: {...objectOf(before['metadata']), ...fields['metadata']}}
    : {};
  return json(account.update(name, id, {...fields, ...metadata}, writable.updateEvent));
}

function remove(account: StripeAccount, {name, writable}: Kind, {params}: SimulatedRequest): SimulatedReply {
  const id = params['id'] ?? '';
  const before = account.object(name, id);
  if (before === undefined) return missing(id);
  if (writable.deletes === 'canceled')
    return json(account.update(name, id, {status: 'canceled'}, 'customer.subscription.deleted'));
  if (writable.deletes === undefined || (writable.deletes === 'draft' && before['status'] !== 'draft'))
    return wrong('This object cannot be deleted.', 'id', 'resource_not_deletable');
  if (name === 'invoice_items') removeLine(account, before);
  account.remove(name, id);
  return json({id, object: before['object'] ?? null, deleted: true});
}

function removeLine(account: StripeAccount, {id = null, invoice}: JsonObject): void {
  const line = account
    .children(String(invoice))
    .find(({parent}) => objectOf(objectOf(parent)['invoice_item_details'])['invoice_item'] === id);
  if (line !== undefined) account.changeChild('invoices', String(line['id']), null);
}

function act(
  account: StripeAccount,
  {name, writable, action}: Kind & {readonly action: string},
  {params}: SimulatedRequest,
): SimulatedReply {
  const id = params['id'] ?? '';
  const next = writable.actions?.[action];
  if (next === undefined || account.object(name, id) === undefined) return missing(id);
  return json(account.update(name, id, {status: next.status}, next.event));
}

function addItem(account: StripeAccount, request: SimulatedRequest): SimulatedReply {
  const given = formObject(new URLSearchParams(request.text));
  const refusal = missingParams('subscription! price!', given);
  const parent = String(given['subscription']);
  if (refusal !== null) return refusal;
  if (account.object('subscriptions', parent) === undefined) return missing(parent, 'subscription');
  const [item = {}] = itemsOf([given]);
  return json(account.addChild('subscriptions', parent, item));
}

function changeItem(account: StripeAccount, request: SimulatedRequest): SimulatedReply {
  const id = request.params['id'] ?? '';
  const {quantity} = formObject(new URLSearchParams(request.text));
  const isDelete = request.method === 'DELETE';
  const fields = isDelete ? null : quantity === undefined ? {} : {quantity: Number(quantity)};
  const item = account.changeChild('subscriptions', id, fields);
  if (item === undefined) return missing(id);
  return json(isDelete ? {id, object: 'subscription_item', deleted: true} : item);
}

function itemsOf(items: JsonValue | undefined): readonly JsonObject[] {
  return (Array.isArray(items) ? items : []).map((item) => {
    const {price = null, quantity = 1} = objectOf(item);
    return {price: {id: price, object: 'price'}, quantity: Number(quantity)};
  });
}

/** The answer to a parameter that there is not. */
function wrongParams(known: string, given: JsonObject): SimulatedReply | null {
  const names = new Set(known.split(' ').map((name) => name.replace('!', '')));
  const unknown = Object.keys(given).find((name) => !names.has(name));
  return unknown === undefined ? null : wrong(`Received unknown parameter: ${unknown}`, unknown, 'parameter_unknown');
}

function missingParams(known: string, given: JsonObject): SimulatedReply | null {
  const needed = known.split(' ').flatMap((name) => (name.endsWith('!') ? [name.slice(0, -1)] : []));
  const absent = needed.find((name) => given[name] === undefined);
  return absent === undefined ? null : wrong(`Missing required param: ${absent}.`, absent, 'parameter_missing');
}

function missing(id: string, param = 'id'): SimulatedReply {
  return wrong(`No such object: '${id}'`, param, 'resource_missing', 404);
}

function wrong(message: string, param: string, code: string, status = 400): SimulatedReply {
  return json({error: {message, type: 'invalid_request_error', code, param}}, {status});
}

function isObject(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function objectOf(value: JsonValue | undefined): JsonObject {
  return isObject(value) ? value : {};
}
