/**
 * Columns of payments and the balance by table, as DDL: the fields of API version 2026-10-28.endive, without lists of
 * children (tables of their own) and without secrets of clients. Amounts are whole numbers in the currency's smallest unit;
 * nested objects whose fields differ between versions are VARIANT.
 * @see https://docs.stripe.com/api
 */
export const PAYMENTS_COLUMNS: Readonly<Record<string, string>> = {
  charges: `
    id STRING NOT NULL, object STRING, amount BIGINT, amount_captured BIGINT, amount_refunded BIGINT,
    application STRING, application_fee STRING, application_fee_amount BIGINT, authorization_code STRING,
    balance_transaction STRING, billing_details VARIANT, calculated_statement_descriptor STRING, captured BOOLEAN,
    created TIMESTAMP, currency STRING, customer STRING, description STRING, disputed BOOLEAN,
    failure_balance_transaction STRING, failure_code STRING, failure_message STRING, fraud_details VARIANT,
    level3 VARIANT, livemode BOOLEAN, metadata MAP<STRING, STRING>, on_behalf_of STRING, outcome VARIANT,
    paid BOOLEAN, payment_intent STRING, payment_method STRING, payment_method_details VARIANT,
    presentment_details VARIANT, radar_options VARIANT, receipt_email STRING, receipt_number STRING,
    receipt_url STRING, refunded BOOLEAN, review STRING, shipping VARIANT, source VARIANT, source_transfer STRING,
    statement_descriptor STRING, statement_descriptor_suffix STRING, status STRING, transfer STRING,
    transfer_data VARIANT, transfer_group STRING`,
  payment_intents: `
    id STRING NOT NULL, object STRING, allowed_payment_method_types ARRAY<STRING>, amount BIGINT,
    amount_capturable BIGINT, amount_details VARIANT, amount_received BIGINT, application STRING,
    application_fee_amount BIGINT, automatic_payment_methods VARIANT, canceled_at TIMESTAMP,
    cancellation_reason STRING, capture_method STRING, confirmation_method STRING, created TIMESTAMP,
    currency STRING, customer STRING, customer_account STRING, description STRING,
    excluded_payment_method_types ARRAY<STRING>, hooks VARIANT, last_payment_error VARIANT, latest_charge STRING,
    livemode BOOLEAN, managed_payments VARIANT, metadata MAP<STRING, STRING>, next_action VARIANT,
    on_behalf_of STRING, payment_details VARIANT, payment_method STRING,
    payment_method_configuration_details VARIANT, payment_method_options VARIANT,
    payment_method_types ARRAY<STRING>, payment_record STRING, presentment_details VARIANT, processing VARIANT,
    receipt_email STRING, review STRING, setup_future_usage STRING, shipping VARIANT, source STRING,
    statement_descriptor STRING, statement_descriptor_suffix STRING, status STRING, transfer_data VARIANT,
    transfer_group STRING`,
  setup_intents: `
    id STRING NOT NULL, object STRING, allowed_payment_method_types ARRAY<STRING>, application STRING,
    attach_to_self BOOLEAN, automatic_payment_methods VARIANT, cancellation_reason STRING, created TIMESTAMP,
    customer STRING, customer_account STRING, description STRING, excluded_payment_method_types ARRAY<STRING>,
    flow_directions ARRAY<STRING>, last_setup_error VARIANT, latest_attempt STRING, livemode BOOLEAN,
    managed_payments VARIANT, mandate STRING, metadata MAP<STRING, STRING>, next_action VARIANT,
    on_behalf_of STRING, payment_method STRING, payment_method_configuration_details VARIANT,
    payment_method_options VARIANT, payment_method_types ARRAY<STRING>, single_use_mandate STRING, status STRING,
    usage STRING`,
  checkout_sessions: `
    id STRING NOT NULL, object STRING, adaptive_pricing VARIANT, after_expiration VARIANT,
    allow_promotion_codes BOOLEAN, allowed_payment_method_types ARRAY<STRING>, amount_subtotal BIGINT,
    amount_total BIGINT, automatic_tax VARIANT, billing_address_collection STRING, branding_settings VARIANT,
    cancel_url STRING, client_reference_id STRING, collected_information VARIANT, consent VARIANT,
    consent_collection VARIANT, created TIMESTAMP, currency STRING, currency_conversion VARIANT,
    custom_fields VARIANT, custom_text VARIANT, customer STRING, customer_account STRING, customer_creation STRING,
    customer_details VARIANT, customer_email STRING, discounts VARIANT, excluded_payment_method_types ARRAY<STRING>,
    expires_at TIMESTAMP, integration_identifier STRING, invoice STRING, invoice_creation VARIANT, livemode BOOLEAN,
    locale STRING, managed_payments VARIANT, metadata MAP<STRING, STRING>, mode STRING, name_collection VARIANT,
    optional_items VARIANT, origin_context STRING, payment_intent STRING, payment_link STRING,
    payment_method_collection STRING, payment_method_configuration_details VARIANT, payment_method_options VARIANT,
    payment_method_types ARRAY<STRING>, payment_status STRING, permissions VARIANT, phone_number_collection VARIANT,
    presentment_details VARIANT, recovered_from STRING, redirect_on_completion STRING, return_url STRING,
    saved_payment_method_options VARIANT, setup_intent STRING, shipping_address_collection VARIANT,
    shipping_cost VARIANT, shipping_options VARIANT, status STRING, submit_type STRING, subscription STRING,
    success_url STRING, tax_id_collection VARIANT, total_details VARIANT, ui_mode STRING, url STRING,
    wallet_options VARIANT`,
  refunds: `
    id STRING NOT NULL, object STRING, amount BIGINT, balance_transaction STRING, charge STRING, created TIMESTAMP,
    currency STRING, customer STRING, customer_account STRING, description STRING, destination_details VARIANT,
    failure_balance_transaction STRING, failure_reason STRING, instructions_email STRING,
    metadata MAP<STRING, STRING>, next_action VARIANT, payment_intent STRING, payment_method STRING,
    pending_reason STRING, presentment_details VARIANT, reason STRING, receipt_number STRING,
    source_transfer_reversal STRING, status STRING, transfer_reversal STRING`,
  disputes: `
    id STRING NOT NULL, object STRING, amount BIGINT, balance_transactions VARIANT, charge STRING,
    created TIMESTAMP, currency STRING, enhanced_eligibility_types ARRAY<STRING>, evidence VARIANT,
    evidence_details VARIANT, intended_submission_method STRING, is_charge_refundable BOOLEAN, livemode BOOLEAN,
    metadata MAP<STRING, STRING>, network_reason_code STRING, payment_intent STRING, payment_method_details VARIANT,
    reason STRING, status STRING`,
  reviews: `
    id STRING NOT NULL, object STRING, billing_zip STRING, charge STRING, closed_reason STRING, created TIMESTAMP,
    ip_address STRING, ip_address_location VARIANT, livemode BOOLEAN, open BOOLEAN, opened_reason STRING,
    payment_intent STRING, reason STRING, session VARIANT`,
  payouts: `
    id STRING NOT NULL, object STRING, amount BIGINT, application_fee STRING, application_fee_amount BIGINT,
    arrival_date TIMESTAMP, automatic BOOLEAN, balance_transaction STRING, created TIMESTAMP, currency STRING,
    description STRING, destination STRING, failure_balance_transaction STRING, failure_code STRING,
    failure_message STRING, livemode BOOLEAN, metadata MAP<STRING, STRING>, method STRING, original_payout STRING,
    payout_method STRING, reconciliation_status STRING, reversed_by STRING, source_type STRING,
    statement_descriptor STRING, status STRING, trace_id VARIANT, type STRING`,
  transfers: `
    id STRING NOT NULL, object STRING, amount BIGINT, amount_reversed BIGINT, balance_transaction STRING,
    created TIMESTAMP, currency STRING, description STRING, destination STRING, destination_payment STRING,
    livemode BOOLEAN, metadata MAP<STRING, STRING>, reversed BOOLEAN, source_transaction STRING, source_type STRING,
    transfer_group STRING`,
  topups: `
    id STRING NOT NULL, object STRING, amount BIGINT, balance_transaction STRING, created TIMESTAMP,
    currency STRING, description STRING, expected_availability_date TIMESTAMP, failure_code STRING,
    failure_message STRING, initiated_by STRING, livemode BOOLEAN, metadata MAP<STRING, STRING>,
    payment_method STRING, payment_method_options VARIANT, source VARIANT, statement_descriptor STRING,
    status STRING, transfer_group STRING`,
  balance_transactions: `
    id STRING NOT NULL, object STRING, amount BIGINT, available_on TIMESTAMP, balance_type STRING,
    created TIMESTAMP, currency STRING, description STRING, exchange_rate DOUBLE, fee BIGINT, fee_details VARIANT,
    net BIGINT, reporting_category STRING, source STRING, status STRING, type STRING`,
  events: `
    id STRING NOT NULL, object STRING, account STRING, api_version STRING, context STRING, created TIMESTAMP,
    data VARIANT, livemode BOOLEAN, pending_webhooks BIGINT, request VARIANT, type STRING`,
};
