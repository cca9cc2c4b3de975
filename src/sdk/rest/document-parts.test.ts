import {describe, expect, it} from 'vitest';
import {parse} from 'yaml';

import type {JsonObject} from '../../core/json-value.ts';
import {toDdl} from '../../core/schema-ddl.ts';
import {resolveConnectionOptions} from '../options.ts';
import {parseRestDocument} from './rest-document.ts';
import {callContext, openConnector, serve, type ApiReply, type ApiRequest} from './rest-fixture.support.test.ts';

const DOCUMENT = `
name: parts
description: Parts of a document.
connection: {base_url: {type: string, required: true, description: Where the API is.}}
auth_methods:
  token:
    description: A token.
    options: {token: {type: string, required: true, secret: true, description: The token.}}
    auth: {kind: bearer, token: '\${config.token}'}
  user:
    description: Name and password.
    options:
      username: {type: string, required: true, description: The name.}
      password: {type: string, required: true, secret: true, description: The password.}
    auth: {kind: basic, username: '\${config.username}', password: '\${config.password}'}
  signed:
    description: OAuth 1.0a.
    options:
      token: {type: string, required: true, secret: true, description: The token.}
      token_secret: {type: string, required: true, secret: true, description: Its secret.}
    auth:
      kind: oauth1
      consumer_key: key
      consumer_secret: hush
      token: '\${config.token}'
      token_secret: '\${config.token_secret}'
client: {base_url: '\${config.base_url}'}
check: {url: /me}
tables:
  - name: objects
    primary_keys: [id]
    ingestion_type: snapshot
    schema:
      describe:
        list: {request: {url: /describe}, records: fields, paginator: {kind: page, slot: {query: page}}}
        name: name
        type: kind
        types: {number: DOUBLE, datetime: TIMESTAMP, tags: ARRAY<STRING>}
        columns: {id: BIGINT NOT NULL}
    read: {kind: snapshot, list: {request: {url: /objects}, records: rows}}
`;

const parts = (): ReturnType<typeof parseRestDocument> => parseRestDocument(parse(DOCUMENT), 'parts.yml');

describe('logins of a document', () => {
  it.each([
    [{token: 't0k'}, /^Bearer t0k$/],
    [{username: 'ada', password: 'pw'}, /^Basic YWRhOnB3$/],
    [{token: 't0k', token_secret: 's'}, /^OAuth .*oauth_consumer_key="key".*oauth_token="t0k"/],
  ])('are those whose options are given', async (given, header) => {
    const seen: unknown[] = [];
    await using api = await serve(({headers}) => {
      seen.push(headers['authorization']);
      return {body: {}};
    });
    const definition = parts();
    const options = resolveConnectionOptions(definition.spec, {base_url: api.baseUrl, ...given}, 'test');
    const connector = openConnector(definition, options);
    await connector.listTables(callContext());
    await connector.close?.();
    expect(seen).toEqual([expect.stringMatching(header)]);
  });

  it('are data in the spec of the connector', () => {
    const {spec} = parts();
    expect(structuredClone(spec)).toEqual(spec);
  });
});

describe('a described schema', () => {
  const describing = (fields: readonly JsonObject[]): ((request: ApiRequest) => ApiReply) => {
    return ({query}) => ({body: {fields: query.get('page') === '1' ? fields : []}});
  };
  const schemaOf = async (fields: readonly JsonObject[]): Promise<string> => {
    await using api = await serve(describing(fields));
    const connector = openConnector(parts(), {base_url: api.baseUrl, token: 't'});
    const schema = await connector.getTableSchema('objects', {}, callContext());
    await connector.close?.();
    return toDdl(schema);
  };

  it('has the columns that the source lists, typed by the table of types', async () => {
    expect(
      await schemaOf([
        {name: 'id', kind: 'text'},
        {name: 'amount', kind: 'number'},
        {name: 'closed at', kind: 'datetime'},
        {name: 'labels', kind: 'tags'},
        {name: 'note', kind: 'constructor'},
      ]),
    ).toBe('id BIGINT NOT NULL, amount DOUBLE, `closed at` TIMESTAMP, labels ARRAY<STRING>, note STRING');
  });

  it('is refused where a column has no name', async () => {
    await expect(schemaOf([{label: 'x', kind: 'text'}])).rejects.toMatchObject({code: 'SOURCE_ERROR'});
  });
});
