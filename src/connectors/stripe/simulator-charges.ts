import type {JsonObject, JsonValue} from '../../sdk/index.ts';

/**
 * A charge with everything that Stripe gives of one, its time and id left to the account. All have the same fields in the same
 * order; what most charges do not have is null in most.
 * @see https://docs.stripe.com/api/charges/object
 */
export function chargeSample(number: number): JsonObject {
  const amount = 100 + ((number * 7919) % 250_000);
  const isPaid = number % 9 !== 0;
  const isRefunded = number % 6 === 0;
  const name = nameOf(number);
  const email = `${name.toLowerCase().replace(' ', '.')}.${number}@example.com`;
  return {
    id: '',
    object: 'charge',
    amount,
    amount_captured: isPaid ? amount : 0,
    amount_refunded: isRefunded ? amount >> 1 : 0,
    application: some(number, 7, 'ca_KF8mIz4yQ7sDLw2vN1xPtbRh'),
    application_fee: some(number, 7, `fee_1Q${code(number)}`),
    application_fee_amount: some(number, 7, amount >> 5),
    authorization_code: some(number, 4, String(100_000 + (number % 900_000))),
    balance_transaction: isPaid ? `txn_3Q${code(number)}0k` : null,
    billing_details: {address: addressOf(number), email, name, phone: some(number, 3, phoneOf(number)), tax_id: null},
    calculated_statement_descriptor: 'ACME* BOOKS AND MORE',
    captured: isPaid,
    created: 0,
    currency: CURRENCIES[number % CURRENCIES.length] ?? 'usd',
    customer: `cus_R${code(number % 5003)}`,
    description: `Order ${100_000 + number}: ${1 + (number % 4)} books, delivery ${number % 2 === 0 ? 'by post' : 'to a shop'}`,
    disputed: number % 17 === 0,
    failure_balance_transaction: some(number, 9, `txn_3Q${code(number)}1f`),
    failure_code: isPaid ? null : 'card_declined',
    failure_message: isPaid ? null : 'Your card has insufficient funds.',
    fraud_details: {},
    level3: some(number, 8, {merchant_reference: `M-${number}`, line_items: []}),
    livemode: true,
    metadata: {order_id: String(100_000 + number), channel: number % 3 === 0 ? 'web' : 'app', plan: 'gold'},
    on_behalf_of: some(number, 7, 'acct_1N8sK2Hq0aXbYcZd'),
    outcome: outcomeOf(number, isPaid),
    paid: isPaid,
    payment_intent: `pi_3Q${code(number)}0h`,
    payment_method: `pm_1Q${code(number)}`,
    payment_method_details: {card: cardOf(number, amount), type: 'card'},
    presentment_details: some(number, 5, {presentment_amount: amount, presentment_currency: 'eur'}),
    radar_options: {},
    receipt_email: some(number, 2, email),
    receipt_number: some(number, 4, `${1000 + (number % 9000)}-${1000 + ((number * 3) % 9000)}`),
    receipt_url: `https://pay.example.com/receipts/payment/CAcaFwoVYWNjdF8x${code(number)}${code(number * 31)}`,
    refunded: isRefunded,
    review: some(number, 8, `prv_1Q${code(number)}`),
    shipping: some(number, 2, shippingOf(number, name)),
    source: some(number, 6, {id: `card_1Q${code(number)}`, object: 'card', brand: 'Visa', last4: last4(number)}),
    source_transfer: some(number, 7, `tr_1Q${code(number)}`),
    statement_descriptor: some(number, 5, 'ACME BOOKS'),
    statement_descriptor_suffix: some(number, 3, `ORDER ${number}`),
    status: isPaid ? 'succeeded' : 'failed',
    transfer: some(number, 7, `tr_1Q${code(number)}`),
    transfer_data: some(number, 7, {amount: null, destination: 'acct_1N8sK2Hq0aXbYcZd'}),
    transfer_group: some(number, 4, `group_${number >> 3}`),
  };
}

const CURRENCIES: readonly string[] = ['usd', 'eur', 'gbp', 'usd', 'jpy'];
const BRANDS: readonly string[] = ['visa', 'mastercard', 'amex', 'visa', 'discover'];
const FIRST: readonly string[] = ['Ada', 'Grace', 'Linus', 'Edsger', 'Barbara', 'Donald', 'Zoë', 'Łukasz'];
const LAST: readonly string[] = ['Lovelace', 'Hopper', 'Nguyen', 'Dijkstra', 'Liskov', 'Knuth', 'García'];
const CITIES: readonly (readonly [city: string, country: string, state: string | null])[] = [
  ['San Francisco', 'US', 'CA'],
  ['Lisbon', 'PT', null],
  ['München', 'DE', 'BY'],
  ['Dublin', 'IE', null],
  ['Austin', 'US', 'TX'],
];

/** The value in every so many charges, else null. */
function some<T extends JsonValue>(number: number, every: number, value: T): T | null {
  return number % every === 0 ? value : null;
}

/** Sixteen characters as in ids, always those of the number. */
function code(number: number): string {
  const digits = ((number * 2_654_435_761) % 2_176_782_336).toString(36).padStart(6, 'A');
  return `${digits}Lkd${number.toString(36).padStart(7, '0')}`;
}

function nameOf(number: number): string {
  return `${FIRST[number % FIRST.length] ?? ''} ${LAST[(number >> 1) % LAST.length] ?? ''}`;
}

function phoneOf(number: number): string {
  return `+1555${String(number % 10_000_000).padStart(7, '0')}`;
}

function last4(number: number): string {
  return String((number * 37) % 10_000).padStart(4, '0');
}

function addressOf(number: number): JsonObject {
  const [city, country, state] = CITIES[number % CITIES.length] ?? ['', '', null];
  return {
    city,
    country,
    line1: `${1 + (number % 300)} Market Street`,
    line2: some(number, 4, `Floor ${number % 12}`),
    postal_code: String(10_000 + (number % 80_000)),
    state,
  };
}

function shippingOf(number: number, name: string): JsonObject {
  return {
    address: addressOf(number + 1),
    carrier: some(number, 3, 'DHL'),
    name,
    phone: phoneOf(number),
    tracking_number: some(number, 3, `JD0146${number}`),
  };
}

function outcomeOf(number: number, isPaid: boolean): JsonObject {
  return {
    advice_code: isPaid ? null : 'try_again_later',
    network_advice_code: null,
    network_decline_code: isPaid ? null : '51',
    network_status: isPaid ? 'approved_by_network' : 'declined_by_network',
    reason: isPaid ? null : 'insufficient_funds',
    risk_level: 'normal',
    risk_score: number % 65,
    seller_message: isPaid ? 'Payment complete.' : 'The bank returned the decline code `insufficient_funds`.',
    type: isPaid ? 'authorized' : 'issuer_declined',
  };
}

function cardOf(number: number, amount: number): JsonObject {
  return {
    amount_authorized: amount,
    authorization_code: some(number, 4, String(100_000 + (number % 900_000))),
    brand: BRANDS[number % BRANDS.length] ?? '',
    checks: {address_line1_check: 'pass', address_postal_code_check: 'pass', cvc_check: some(number, 2, 'pass')},
    country: 'US',
    exp_month: 1 + (number % 12),
    exp_year: 2026 + (number % 6),
    extended_authorization: {status: 'disabled'},
    fingerprint: code(number % 5003),
    funding: number % 3 === 0 ? 'debit' : 'credit',
    incremental_authorization: {status: 'unavailable'},
    installments: null,
    last4: last4(number),
    mandate: null,
    multicapture: {status: 'unavailable'},
    network: BRANDS[number % BRANDS.length] ?? '',
    network_token: {used: number % 2 === 0},
    network_transaction_id: String(1_000_000_000 + number * 13),
    overcapture: {maximum_amount_capturable: amount, status: 'unavailable'},
    regulated_status: 'unregulated',
    three_d_secure: some(number, 3, {authentication_flow: 'frictionless', result: 'authenticated', version: '2.2.0'}),
    wallet: some(number, 5, {apple_pay: {}, dynamic_last4: null, type: 'apple_pay'}),
  };
}
