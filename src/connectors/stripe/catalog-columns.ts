/**
 * Columns of products and prices by table, as DDL: the fields of API version 2026-10-28.endive, without lists of
 * children (tables of their own) and without secrets of clients. Amounts are whole numbers in the currency's smallest unit;
 * nested objects whose fields differ between versions are VARIANT.
 * @see https://docs.stripe.com/api
 */
export const CATALOG_COLUMNS: Readonly<Record<string, string>> = {
  products: `
    id STRING NOT NULL, object STRING, active BOOLEAN, created TIMESTAMP, default_price STRING, description STRING,
    images ARRAY<STRING>, livemode BOOLEAN, marketing_features VARIANT, metadata MAP<STRING, STRING>, name STRING,
    package_dimensions VARIANT, shippable BOOLEAN, statement_descriptor STRING, tax_code STRING,
    tax_details VARIANT, type STRING, unit_label STRING, updated TIMESTAMP, url STRING`,
  prices: `
    id STRING NOT NULL, object STRING, active BOOLEAN, billing_scheme STRING, created TIMESTAMP, currency STRING,
    currency_options VARIANT, custom_unit_amount VARIANT, livemode BOOLEAN, lookup_key STRING,
    metadata MAP<STRING, STRING>, nickname STRING, product STRING, recurring VARIANT, tax_behavior STRING,
    tiers VARIANT, tiers_mode STRING, transform_quantity VARIANT, type STRING, unit_amount BIGINT,
    unit_amount_decimal DECIMAL(38, 12)`,
  plans: `
    id STRING NOT NULL, object STRING, active BOOLEAN, amount BIGINT, amount_decimal DECIMAL(38, 12),
    billing_scheme STRING, created TIMESTAMP, currency STRING, interval STRING, interval_count BIGINT,
    livemode BOOLEAN, metadata MAP<STRING, STRING>, meter STRING, nickname STRING, product STRING, tiers VARIANT,
    tiers_mode STRING, transform_usage VARIANT, trial_period_days BIGINT, usage_type STRING`,
  coupons: `
    id STRING NOT NULL, object STRING, amount_off BIGINT, applies_to VARIANT, created TIMESTAMP, currency STRING,
    currency_options VARIANT, duration STRING, duration_in_months BIGINT, livemode BOOLEAN, max_redemptions BIGINT,
    metadata MAP<STRING, STRING>, name STRING, percent_off DOUBLE, redeem_by TIMESTAMP, times_redeemed BIGINT,
    valid BOOLEAN`,
  promotion_codes: `
    id STRING NOT NULL, object STRING, active BOOLEAN, code STRING, created TIMESTAMP, customer STRING,
    customer_account STRING, expires_at TIMESTAMP, livemode BOOLEAN, max_redemptions BIGINT,
    metadata MAP<STRING, STRING>, promotion VARIANT, restrictions VARIANT, times_redeemed BIGINT`,
  tax_rates: `
    id STRING NOT NULL, object STRING, active BOOLEAN, country STRING, created TIMESTAMP, description STRING,
    display_name STRING, effective_percentage DOUBLE, flat_amount VARIANT, inclusive BOOLEAN, jurisdiction STRING,
    jurisdiction_level STRING, livemode BOOLEAN, metadata MAP<STRING, STRING>, percentage DOUBLE, rate_type STRING,
    state STRING, tax_type STRING`,
};
