import {IngestError} from '../../core/errors.ts';
import type {JsonValue} from '../../core/json-value.ts';
import type {PlainJson} from '../../core/offset.ts';
import type {AuthMethod, ConnectorDefinition} from '../define-connector.ts';
import {FRAMEWORK_OPTIONS} from '../framework-options.ts';
import {createHttpClient} from '../http/create-http-client.ts';
import {authMethodsShape, clientShape, methodAuth, oauthShape, optionsShape} from './document-client.ts';
import {listingShape} from './document-listing.ts';
import {deletesShape, expandShape, partitionsShape, planShape} from './document-plan.ts';
import {defined, jsonTemplate, path, requestShape} from './document-request.ts';
import {schemaShape} from './document-schema.ts';
import {
  count,
  flag,
  isObject,
  json,
  list,
  map,
  object,
  optional,
  record,
  text,
  word,
  type Shape,
} from './document-shape.ts';
import {restConnector} from './rest-connector.ts';
import type {FieldMaker, RestConnectorSpec, RestTable} from './rest-spec.ts';
import {scopeValues, type TemplateNames} from './template.ts';

const ROOTS = ['config', 'option', 'parent', 'parents', 'cursor', 'window', 'token', 'fields', 'table', 'trigger'];

/**
 * Makes a connector of a document (the plain value of a YAML or JSON text); `where` names it in messages.
 * @throws INVALID_SPEC naming document and place.
 */
export function parseRestDocument(value: unknown, where: string): ConnectorDefinition {
  try {
    return restConnector(parseRestSpec(value, where));
  } catch (error) {
    if (!(error instanceof IngestError) || error.message.startsWith(where)) throw error;
    throw new IngestError(error.code, `${where}: ${error.message}`, {
      cause: error,
      context: {...error.context, path: where},
      ...(error.fix === undefined ? {} : {fix: error.fix}),
    });
  }
}

/** The spec that a document stands for. @throws INVALID_SPEC naming document and place. */
export function parseRestSpec(value: unknown, where: string): RestConnectorSpec {
  return documentShape(namesIn(value)).read(value, {where, path: ''});
}

/** The JSON Schema of documents, for editors. */
export function restDocumentJsonSchema(): PlainJson {
  const defs: Record<string, PlainJson> = {};
  const schema = documentShape({roots: ROOTS, config: [], option: []}).schema(defs);
  return {
    $schema: 'https://json-schema.org/draft/2020-12/schema',
    title: 'A connector to a REST API',
    ...(isObject(schema) ? (schema as {readonly [key: string]: PlainJson}) : {}),
    $defs: defs,
  };
}

/** Names of options that a document declares, so that templates can be checked; the declarations themselves are checked later. */
function namesIn(value: unknown): TemplateNames {
  const document = isObject(value) ? value : {};
  const methods = isObject(document['auth_methods']) ? Object.values(document['auth_methods']) : [];
  const tables = Array.isArray(document['tables']) ? (document['tables'] as readonly unknown[]) : [];
  return {
    roots: ROOTS,
    config: [
      ...keysOf(document['connection']),
      ...methods.flatMap((method) => keysOf(isObject(method) ? method['options'] : null)),
    ],
    option: [
      ...Object.keys(FRAMEWORK_OPTIONS),
      ...keysOf(document['table_options']),
      ...tables.flatMap((table) => keysOf(isObject(table) ? table['options'] : null)),
    ],
  };
}

function keysOf(value: unknown): readonly string[] {
  return isObject(value) ? Object.keys(value) : [];
}

function documentShape(names: TemplateNames): Shape<RestConnectorSpec> {
  const shape = object({
    name: text,
    display_name: optional(text),
    description: text,
    connection: optional(optionsShape),
    auth_methods: optional(authMethodsShape(names)),
    oauth: optional(oauthShape),
    table_options: optional(optionsShape),
    client: clientShape(names),
    check: optional(requestShape({...names, roots: ['config']})),
    tables: list(tableShape(names)),
  });
  return map(shape, (given): RestConnectorSpec => {
    const {client, check, connection = {}, auth_methods: methods = {}} = given;
    const secrets = (options: Parameters<typeof client>[0]): readonly string[] =>
      Object.entries({
        ...connection,
        ...Object.assign({}, ...Object.values(methods).map((method) => method.options)),
      })
        .filter(([, option]) => isObject(option) && option['secret'] === true)
        .flatMap(([name]) => (typeof options[name] === 'string' ? [options[name]] : []));
    return {
      name: given.name,
      displayName: given.display_name ?? given.name,
      description: given.description,
      connection,
      client: (options, create) =>
        createHttpClient(
          {...client(options), ...defined({auth: methodAuth(methods, options)}), secrets: secrets(options)},
          create,
        ),
      tables: given.tables,
      ...(check === undefined ? {} : {check: (scope) => check(scopeValues(scope))}),
      ...defined({authMethods: given.auth_methods === undefined ? undefined : plainMethods(methods)}),
      ...defined({oauth: given.oauth, table: given.table_options}),
    };
  });
}

/** Ways to log in as the spec of a connector has them: data only. */
function plainMethods(methods: Readonly<Record<string, AuthMethod>>): Readonly<Record<string, AuthMethod>> {
  return Object.fromEntries(
    Object.entries(methods).map(([name, {description, options}]) => [name, {description, options}]),
  );
}

function tableShape(names: TemplateNames): Shape<RestTable> {
  const listing = listingShape(names);
  const plan = planShape(listing);
  const shape = object({
    name: text,
    description: optional(text),
    primary_keys: optional(list(text)),
    cursor_field: optional(text),
    ingestion_type: word(['snapshot', 'cdc', 'cdc_with_deletes', 'append']),
    keys_enforced: optional(flag),
    schema: schemaShape(listing),
    options: optional(optionsShape),
    partitions: optional(partitionsShape(listing)),
    read: plan,
    expand: optional(expandShape(listing)),
    lift: optional(list(path)),
    set: optional(record(setShape(names))),
    drop: optional(list(text)),
    deletes: optional(deletesShape(listing, plan)),
    concurrency: optional(count),
    volatile_columns: optional(record(text)),
  });
  return map(shape, (given): RestTable => {
    const {name, description, schema, options, partitions, read, expand, lift, set, drop, deletes, concurrency} = given;
    const {primary_keys: primaryKeys = [], cursor_field: cursorField, ingestion_type: ingestionType} = given;
    const {keys_enforced: keysEnforced, volatile_columns: volatileColumns} = given;
    return {
      name,
      primaryKeys,
      ingestionType,
      schema,
      read,
      ...defined({
        description,
        cursorField,
        keysEnforced,
        options,
        partitions,
        expand,
        lift,
        set,
        drop,
        deletes,
        concurrency,
        volatileColumns,
      }),
    };
  });
}

/** A column of a record: JSON whose texts may use `${record.x}` beside the names of requests. */
function setShape(names: TemplateNames): Shape<FieldMaker> {
  return map(json, (value, place): FieldMaker => {
    const template = jsonTemplate(value, {...names, roots: [...names.roots, 'record']}, place);
    return (source, scope): JsonValue | undefined => template({...scopeValues(scope), record: source});
  });
}
