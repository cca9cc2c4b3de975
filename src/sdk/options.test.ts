import {describe, expect, it} from 'vitest';

import {type IngestError, isIngestError} from '../core/errors.ts';
import {type ConnectorDefinition, type ConnectorSpec, defineConnector, type OptionSpecs} from './define-connector.ts';
import {optionsJsonSchema, resolveConnectionOptions, resolveOptions} from './options.ts';

const SPECS: OptionSpecs = {
  host: {type: 'string', description: 'Host name', required: true},
  port: {type: 'integer', description: 'TCP port', default: 5432, min: 1, max: 65535},
  ratio: {type: 'number', description: 'A ratio', min: 0},
  tls: {type: 'boolean', description: 'Use TLS', default: true},
  mode: {type: 'string', description: 'A mode', enum: ['fast', 'safe']},
  columns: {type: 'string[]', description: 'Columns'},
  password: {type: 'string', description: 'Password', secret: true},
};

function failure(run: () => unknown): IngestError {
  try {
    run();
  } catch (error) {
    if (isIngestError(error)) return error;
    throw error;
  }
  throw new Error('nothing was thrown');
}

describe('resolveOptions', () => {
  it('types values, takes text for numbers, booleans and lists, and fills in defaults', () => {
    expect(
      resolveOptions(SPECS, {host: 'h', port: '15432', ratio: '.5', tls: 'FALSE', columns: 'a, b,', mode: null}, 'c'),
    ).toEqual({
      host: 'h',
      port: 15432,
      ratio: 0.5,
      tls: false,
      columns: ['a', 'b'],
    });
    expect(resolveOptions(SPECS, {host: 'h', columns: '["a,b"]'}, 'c')).toEqual({
      host: 'h',
      port: 5432,
      tls: true,
      columns: ['a,b'],
    });
  });

  it.each<[Record<string, unknown>, string, string]>([
    [{host: 'h', prot: 1}, 'connection "x": there is no option "prot".', 'Did you mean "port"?'],
    [{host: 'h', constructor: 1}, 'there is no option "constructor"', 'Options: host, port'],
    [{}, 'the option "host" is required (Host name)', 'Set host.'],
    [{host: ''}, 'the option "host" is required', 'Set host.'],
    [{host: 'h', port: 0}, 'the option "port" must be an integer from 1 to 65535', 'Correct port'],
    [{host: 'h', port: 1.5}, 'must be an integer', 'Correct port'],
    [{host: 'h', port: '1e3'}, 'must be an integer', 'Correct port'],
    [{host: 'h', ratio: -1}, 'must be a number of at least 0', 'Correct ratio'],
    [{host: 'h', ratio: ''}, 'must be a number', 'Correct ratio'],
    [{host: 'h', tls: 'yes'}, 'must be true or false', 'Correct tls'],
    [{host: 'h', mode: 'fsat'}, 'must be one of fast, safe', 'Did you mean "fast"?'],
    [{host: 1.1}, 'must be a text (put it in quotes)', 'Correct host'],
    [{host: 'h', columns: [1]}, 'must be a list of texts', 'Correct columns'],
    [{host: 'h', columns: '[1'}, 'must be a list of texts', 'Correct columns'],
  ])('refuses %j', (given, message, fix) => {
    const error = failure(() => resolveOptions(SPECS, given, 'connection "x"'));
    expect(error.code).toBe('INVALID_OPTION');
    expect(error.message).toContain(message);
    expect(error.fix).toContain(fix);
    expect(error.context['path']).toBe('connection "x"');
  });

  it('never shows a value', () => {
    for (const given of [
      {host: 'h', password: ['s3cret']},
      {host: 'h', port: 's3cret'},
      {host: 'h', mode: 's3cret'},
    ]) {
      const error = failure(() => resolveOptions(SPECS, given, 'c'));
      expect(`${error.message} ${error.fix} ${JSON.stringify(error.context)}`).not.toContain('s3cret');
    }
  });
});

describe('resolveConnectionOptions', () => {
  const spec: ConnectorSpec = {
    displayName: 'X',
    description: 'X',
    connection: {url: {type: 'string', description: 'URL', required: true}},
    authMethods: {
      token: {
        description: 'Token',
        options: {token: {type: 'string', description: 'Token', required: true, secret: true}},
      },
      oauth: {
        description: 'OAuth',
        options: {
          client_id: {type: 'string', description: 'Id', required: true},
          client_secret: {type: 'string', description: 'Secret', required: true, secret: true},
          scope: {type: 'string', description: 'Scope', default: 'all'},
        },
      },
    },
    table: {},
  };

  it('tells the way to log in by the options given', () => {
    expect(resolveConnectionOptions(spec, {url: 'u', token: 't'}, 'c')).toEqual({url: 'u', token: 't'});
    expect(resolveConnectionOptions(spec, {url: 'u', client_id: 'i', client_secret: 's'}, 'c')).toEqual({
      url: 'u',
      client_id: 'i',
      client_secret: 's',
      scope: 'all',
    });
  });

  it('takes a way without options when none are given', () => {
    const open: ConnectorSpec = {...spec, authMethods: {...spec.authMethods, none: {description: 'None', options: {}}}};
    expect(resolveConnectionOptions(open, {url: 'u'}, 'c')).toEqual({url: 'u'});
  });

  it.each<[Record<string, unknown>, string]>([
    [{url: 'u'}, 'no way to log in is given'],
    [{url: 'u', client_id: 'i'}, 'to log in by oauth, client_secret must be given too'],
    [{url: 'u', client_id: 'i', token: 't'}, 'the options client_id, token belong to different ways to log in'],
    [{url: 'u', tokn: 't'}, 'there is no option "tokn"'],
    [{token: 't'}, 'the option "url" is required'],
  ])('refuses %j', (given, message) => {
    const error = failure(() => resolveConnectionOptions(spec, given, 'c'));
    expect(error.message).toContain(message);
  });
});

describe('optionsJsonSchema', () => {
  it('says what resolveOptions takes', () => {
    const variable = {type: 'string', pattern: '\\$\\{[^}]+\\}'};
    expect(optionsJsonSchema(SPECS)).toEqual({
      type: 'object',
      properties: {
        host: {description: 'Host name', type: 'string'},
        port: {
          description: 'TCP port',
          default: 5432,
          anyOf: [{type: 'integer', minimum: 1, maximum: 65535}, variable],
        },
        ratio: {description: 'A ratio', anyOf: [{type: 'number', minimum: 0}, variable]},
        tls: {description: 'Use TLS', default: true, anyOf: [{type: 'boolean'}, variable]},
        mode: {description: 'A mode', anyOf: [{type: 'string', enum: ['fast', 'safe']}, variable]},
        columns: {description: 'Columns', anyOf: [{type: 'array', items: {type: 'string'}}, variable]},
        password: {description: 'Password', writeOnly: true, type: 'string'},
      },
      required: ['host'],
      additionalProperties: false,
    });
  });
});

describe('defineConnector', () => {
  const definition = (table: OptionSpecs, more: Partial<ConnectorSpec> = {}, name = 'x'): ConnectorDefinition => ({
    name,
    spec: {displayName: 'X', description: 'X', connection: {}, table, ...more},
    create: () => {
      throw new Error('not called');
    },
  });

  it('gives back what it was given', () => {
    const good = definition(SPECS);
    expect(defineConnector(good)).toBe(good);
  });

  it.each<[string, OptionSpecs]>([
    ['table.a has no description', {a: {type: 'string', description: ' '}}],
    ['table.a is required and has a default', {a: {type: 'string', description: 'A', required: true, default: 'x'}}],
    ['table.a is secret and has a default', {a: {type: 'string', description: 'A', secret: true, default: 'x'}}],
    ['table.a has a range but is no number', {a: {type: 'string', description: 'A', min: 1}}],
    ['table.a has a min above its max', {a: {type: 'integer', description: 'A', min: 2, max: 1}}],
    ['table.a has an enum but is no text', {a: {type: 'integer', description: 'A', enum: ['1']}}],
    ['table.a has an empty enum', {a: {type: 'string', description: 'A', enum: []}}],
    [
      'table.a has a default that is not an integer of at most 5',
      {a: {type: 'integer', description: 'A', max: 5, default: 6}},
    ],
    ['table.a has a default that is not of type integer', {a: {type: 'integer', description: 'A', default: '5'}}],
    ['table.a has a default that is not one of b', {a: {type: 'string', description: 'A', enum: ['b'], default: 'c'}}],
    ['table.a-b must have a name', {'a-b': {type: 'string', description: 'A'}}],
  ])('refuses: %s', (problem, table) => {
    const error = failure(() => defineConnector(definition(table)));
    expect(error.code).toBe('INVALID_SPEC');
    expect(error.message).toContain(problem);
  });

  it('refuses names in upper case and options declared twice', () => {
    expect(() => defineConnector(definition({}, {}, 'MyConnector'))).toThrow('lower case');
    const token: OptionSpecs = {token: {type: 'string', description: 'T'}};
    expect(() =>
      defineConnector(definition({}, {connection: token, authMethods: {t: {description: 'T', options: token}}})),
    ).toThrow('t.token is an option of the connection too');
  });
});
