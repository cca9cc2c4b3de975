/** A table as the connector knows it. Databases with a catalog would be asked for this instead. */
export interface TableInfo {
  /** Columns as DDL. */
  readonly columns: string;
  readonly key: string;
  /** Column that every change moves forward; without one the table is read whole. */
  readonly cursor?: string;
}

/** The tables, by name. */
export const TABLES: Readonly<Record<string, TableInfo>> = {
  countries: {columns: 'id BIGINT NOT NULL, code STRING NOT NULL, name STRING', key: 'id'},
  orders: {
    columns: 'id BIGINT NOT NULL, customer STRING, amount DECIMAL(12,2), updated_at TIMESTAMP NOT NULL',
    key: 'id',
    cursor: 'updated_at',
  },
};
