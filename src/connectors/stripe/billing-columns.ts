const ADDRESS =
  'STRUCT<city: STRING, country: STRING, line1: STRING, line2: STRING, postal_code: STRING, state: STRING>';

/**
 * Columns of customers, subscriptions and invoices by table, as DDL: the fields of API version 2026-10-28.endive, without lists of
 * children (tables of their own) and without secrets of clients. Amounts are whole numbers in the currency's smallest unit;
 * nested objects whose fields differ between versions are VARIANT.
 * @see https://docs.stripe.com/api
 */
export const BILLING_COLUMNS: Readonly<Record<string, string>> = {
  customers: `
    id STRING NOT NULL, object STRING, address ${ADDRESS}, balance BIGINT, business_name STRING,
    cash_balance VARIANT, created TIMESTAMP, currency STRING, customer_account STRING, default_source STRING,
    delinquent BOOLEAN, description STRING, discount VARIANT, email STRING, individual_name STRING,
    invoice_credit_balance VARIANT, invoice_prefix STRING, invoice_settings VARIANT, livemode BOOLEAN,
    metadata MAP<STRING, STRING>, name STRING, next_invoice_sequence BIGINT, phone STRING,
    preferred_locales ARRAY<STRING>, shipping VARIANT, tax VARIANT, tax_exempt STRING, test_clock STRING`,
  subscriptions: `
    id STRING NOT NULL, object STRING, application STRING, application_fee_percent DOUBLE, automatic_tax VARIANT,
    billing_cycle_anchor TIMESTAMP, billing_cycle_anchor_config VARIANT, billing_mode VARIANT,
    billing_schedules VARIANT, billing_thresholds VARIANT, cancel_at TIMESTAMP, cancel_at_period_end BOOLEAN,
    canceled_at TIMESTAMP, cancellation_details VARIANT, collection_method STRING, created TIMESTAMP,
    currency STRING, customer STRING, customer_account STRING, days_until_due BIGINT, default_payment_method STRING,
    default_source STRING, default_tax_rates VARIANT, description STRING, discounts ARRAY<STRING>,
    ended_at TIMESTAMP, invoice_settings VARIANT, latest_invoice STRING, livemode BOOLEAN, managed_payments VARIANT,
    metadata MAP<STRING, STRING>, next_pending_invoice_item_invoice TIMESTAMP, on_behalf_of STRING,
    pause_collection VARIANT, payment_settings VARIANT, pending_invoice_item_interval VARIANT,
    pending_setup_intent STRING, pending_update VARIANT, presentment_details VARIANT, schedule STRING,
    start_date TIMESTAMP, status STRING, status_details VARIANT, test_clock STRING, transfer_data VARIANT,
    trial_end TIMESTAMP, trial_settings VARIANT, trial_start TIMESTAMP`,
  subscription_items: `
    id STRING NOT NULL, object STRING, billed_until TIMESTAMP, billing_thresholds VARIANT, created TIMESTAMP,
    current_period_end TIMESTAMP, current_period_start TIMESTAMP, current_trial VARIANT, discounts ARRAY<STRING>,
    metadata MAP<STRING, STRING>, plan VARIANT, price VARIANT, quantity BIGINT, subscription STRING,
    tax_rates VARIANT`,
  subscription_schedules: `
    id STRING NOT NULL, object STRING, application STRING, billing_mode VARIANT, canceled_at TIMESTAMP,
    completed_at TIMESTAMP, created TIMESTAMP, current_phase VARIANT, customer STRING, customer_account STRING,
    default_settings VARIANT, end_behavior STRING, livemode BOOLEAN, metadata MAP<STRING, STRING>,
    pause_schedules VARIANT, phases VARIANT, released_at TIMESTAMP, released_subscription STRING, status STRING,
    subscription STRING, test_clock STRING`,
  invoices: `
    id STRING NOT NULL, object STRING, account_country STRING, account_name STRING, account_tax_ids ARRAY<STRING>,
    amount_due BIGINT, amount_overpaid BIGINT, amount_paid BIGINT, amount_paid_off_stripe BIGINT,
    amount_remaining BIGINT, amount_shipping BIGINT, application STRING, attempt_count BIGINT, attempted BOOLEAN,
    auto_advance BOOLEAN, automatic_tax VARIANT, automatically_finalizes_at TIMESTAMP, billing_reason STRING,
    collection_method STRING, created TIMESTAMP, currency STRING, custom_fields VARIANT, customer STRING,
    customer_account STRING, customer_address ${ADDRESS}, customer_email STRING, customer_name STRING,
    customer_phone STRING, customer_shipping VARIANT, customer_tax_exempt STRING, customer_tax_ids VARIANT,
    default_payment_method STRING, default_source STRING, default_tax_rates VARIANT, description STRING,
    discounts ARRAY<STRING>, due_date TIMESTAMP, effective_at TIMESTAMP, ending_balance BIGINT, footer STRING,
    from_invoice VARIANT, hosted_invoice_url STRING, invoice_pdf STRING, issuer VARIANT,
    last_finalization_error VARIANT, latest_revision STRING, livemode BOOLEAN, metadata MAP<STRING, STRING>,
    next_payment_attempt TIMESTAMP, number STRING, on_behalf_of STRING, parent VARIANT, payment_settings VARIANT,
    period_end TIMESTAMP, period_start TIMESTAMP, post_payment_credit_notes_amount BIGINT,
    pre_payment_credit_notes_amount BIGINT, receipt_number STRING, rendering VARIANT, shipping_cost VARIANT,
    shipping_details VARIANT, starting_balance BIGINT, statement_descriptor STRING, status STRING,
    status_details VARIANT,
    status_transitions STRUCT<finalized_at: TIMESTAMP, marked_uncollectible_at: TIMESTAMP, paid_at: TIMESTAMP, voided_at: TIMESTAMP>,
    subtotal BIGINT, subtotal_excluding_tax BIGINT, test_clock STRING, threshold_reason VARIANT, total BIGINT,
    total_discount_amounts VARIANT, total_excluding_tax BIGINT, total_pretax_credit_amounts VARIANT,
    total_taxes VARIANT, webhooks_delivered_at TIMESTAMP`,
  invoice_lines: `
    id STRING NOT NULL, object STRING, amount BIGINT, currency STRING, description STRING, discount_amounts VARIANT,
    discountable BOOLEAN, discounts ARRAY<STRING>, invoice STRING, livemode BOOLEAN, metadata MAP<STRING, STRING>,
    parent VARIANT, period STRUCT<start: TIMESTAMP, end: TIMESTAMP>, pretax_credit_amounts VARIANT, pricing VARIANT,
    quantity BIGINT, quantity_decimal DECIMAL(38, 12), subscription STRING, subtotal BIGINT, taxes VARIANT`,
  invoice_items: `
    id STRING NOT NULL, object STRING, amount BIGINT, currency STRING, customer STRING, customer_account STRING,
    date TIMESTAMP, description STRING, discountable BOOLEAN, discounts ARRAY<STRING>, frozen_fields VARIANT,
    invoice STRING, invoicing_rules VARIANT, livemode BOOLEAN, metadata MAP<STRING, STRING>, net_amount BIGINT,
    parent VARIANT, period STRUCT<start: TIMESTAMP, end: TIMESTAMP>, pricing VARIANT, proration BOOLEAN,
    proration_details VARIANT, quantity BIGINT, quantity_decimal DECIMAL(38, 12), tax_rates VARIANT,
    test_clock STRING`,
  credit_notes: `
    id STRING NOT NULL, object STRING, amount BIGINT, amount_shipping BIGINT, created TIMESTAMP, currency STRING,
    customer STRING, customer_account STRING, customer_balance_transaction STRING, discount_amount BIGINT,
    discount_amounts VARIANT, effective_at TIMESTAMP, invoice STRING, livemode BOOLEAN, memo STRING,
    metadata MAP<STRING, STRING>, number STRING, out_of_band_amount BIGINT, pdf STRING, post_payment_amount BIGINT,
    pre_payment_amount BIGINT, pretax_credit_amounts VARIANT, reason STRING, refunds VARIANT, shipping_cost VARIANT,
    status STRING, subtotal BIGINT, subtotal_excluding_tax BIGINT, total BIGINT, total_excluding_tax BIGINT,
    total_taxes VARIANT, type STRING, voided_at TIMESTAMP`,
};
