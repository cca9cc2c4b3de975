import {IngestError} from '../core/errors.ts';
import type {JsonObject, JsonValue} from '../core/json-value.ts';
import {ExactNumber} from '../core/json-value.ts';

/** What a recording must not hold. */
export interface RemovalOptions {
  /** Texts that are removed wherever they stand. Those shorter than 4 characters are refused as too common. */
  readonly secrets?: readonly string[];
  /** Names of further fields and parameters that hold secrets, in any case. */
  readonly secretNames?: readonly string[];
  /** Replaces e-mail addresses, equal ones by equal ones. Default true. */
  readonly masksEmails?: boolean;
}

/** What stands for a value whose name says that it is a credential. */
export const REMOVED = '[removed]';

// Compared without case, blanks and punctuation, so that `X-Api-Key`, `api_key` and `apiKey` are one.
const SECRET_NAMES = new Set(
  `accesstoken refreshtoken idtoken token authtoken bearertoken oauthtoken usertoken apitoken
   clientsecret secret secretkey sharedsecret consumersecret tokensecret webhooksecret signingsecret
   password passwd pwd passphrase pin credential credentials apikey appkey accesskey hapikey
   accesskeyid secretaccesskey privatekey subscriptionkey authorization proxyauthorization auth
   assertion clientassertion codeverifier signature sig oauthsignature oauthtokensecret oauthnonce
   xamzsignature xamzsecuritytoken xamzcredential session sessionid sessiontoken sid jsessionid cookie
   setcookie csrf csrftoken xsrftoken jwt otp mfacode xapikey xauthtoken ocpapimsubscriptionkey
   privatetoken securitytoken accountkey accountsid licensekey encryptionkey connectionstring`.split(/\s+/),
);
/** Names that mean a credential in an address or a login only. */
const SECRET_PARAMS = new Set(['key', 'code', 'state', 'pass', 'username', 'user', 'login', 'email', 'clientid']);

/** Texts that show by their form that they are credentials. */
const SECRET_FORMS =
  /eyJ[\w-]{8,}\.[\w-]{8,}\.[\w-]*|\b(?:sk|rk|pk|whsec)_(?:live|test)_\w{8,}|\bgh[pousr]_\w{20,}|\bgithub_pat_\w{20,}|\bxox[abprs]-[\w-]{10,}|\bAKIA[0-9A-Z]{16}\b|\bpat-[a-z]{2}\d-[\w-]{20,}|-----BEGIN [A-Z ]*PRIVATE KEY-----[\s\S]*?-----END [A-Z ]*PRIVATE KEY-----|\b(?:Bearer|Basic)\s+[\w.~+/=-]{8,}|\bAIza[\w-]{30,}|\bya29\.[\w-]{20,}|\bglpat-[\w-]{16,}|\bshp(?:at|ca|pa|ss)_\w{20,}/g;
/** A parameter of an address, also within a longer text: signed links to files, next links with a key. */
const PARAM = /([?&])([^=&?#\s"'<>]+)=([^&#\s"'<>]+)/g;
const EMAIL = /[\w.+-]+(?:@|%40)[\w-]+(?:\.[\w-]+)+/gi;

/** Request headers that hold no credentials, whatever their values look like. */
const PLAIN_HEADERS =
  /^(?:accept|sec|content|if|x-forwarded)-|^(?:accept|host|connection|user-agent|referer|origin|date|range|expect|te|via|dnt|pragma|cache-control|prefer|priority|traceparent|tracestate|x-request-id|idempotency-key)$|version$/i;
/** One word, long, of letters and digits: a token, rarely anything else that a header says. */
const TOKEN_FORM = /^(?=.*[a-z])(?=.*\d)[\w.~+/=:-]{12,}$/i;

/** Takes secrets out of one recording; equal hidden values get equal names in it. */
export class SecretRemoval {
  readonly #secrets = new Set<string>();
  readonly #names: ReadonlySet<string>;
  readonly #masksEmails: boolean;
  readonly #hidden = new Map<string, string>();
  readonly #emails = new Map<string, string>();

  /** @throws INVALID_OPTION for a secret of fewer than 4 characters. */
  constructor(options: RemovalOptions = {}) {
    this.#names = new Set((options.secretNames ?? []).map(plainName));
    this.#masksEmails = options.masksEmails ?? true;
    for (const secret of options.secrets ?? []) {
      if (secret.length < 4)
        throw new IngestError(
          'INVALID_OPTION',
          'A secret of fewer than 4 characters cannot be removed wherever it stands.',
        );
      this.learn(secret);
    }
  }

  /** How many texts are removed wherever they stand: more than before when something was learnt. */
  get knownTexts(): number {
    return this.#secrets.size;
  }

  /** From now on a text is removed wherever it stands, also encoded. */
  learn(secret: string): void {
    if (secret.length < 4) return;
    for (const form of [secret, encodeURIComponent(secret), Buffer.from(secret).toString('base64')])
      this.#secrets.add(form);
  }

  /** Learns the credentials of a request's headers. */
  learnHeaders(headers: Readonly<Record<string, string | readonly string[] | undefined>>): void {
    for (const [name, value] of Object.entries(headers)) {
      if (value === undefined) continue;
      for (const text of typeof value === 'string' ? [value] : value) {
        if (this.isSecretName(name)) this.#learnHeader(name, text);
        // A vendor may call the header of a token anything; it is told by its form.
        else if (!PLAIN_HEADERS.test(name) && TOKEN_FORM.test(text)) this.learn(text);
      }
    }
  }

  /** Learns the values of credential-like names in a body, an answer of a token endpoint for example. */
  learnBody(value: JsonValue): void {
    if (Array.isArray(value)) for (const one of value as readonly JsonValue[]) this.learnBody(one);
    else if (isPlainObject(value))
      for (const [name, inner] of Object.entries(value)) {
        if (inner === undefined) continue;
        if (this.isSecretName(name) && typeof inner === 'string' && inner.length >= 8) this.learn(inner);
        else this.learnBody(inner);
      }
  }

  /** Learns the credentials of a query. */
  learnQuery(query: URLSearchParams): void {
    for (const [name, value] of query) if (this.isSecretName(name) && value.length >= 8) this.learn(value);
  }

  /** True for a name of a field, header or parameter that holds a credential. */
  isSecretName(name: string): boolean {
    const plain = plainName(name);
    return SECRET_NAMES.has(plain) || this.#names.has(plain) || /(?:apikey|secret|password|accesstoken)$/.test(plain);
  }

  /** The value of a query parameter or of a login's form. */
  param(name: string, value: string): string {
    const isSecret = this.isSecretName(name) || SECRET_PARAMS.has(plainName(name));
    return isSecret ? REMOVED : this.text(value);
  }

  /** The text without what was learnt: for lines that were written before. */
  known(value: string): string {
    let clean = value;
    for (const secret of this.#secrets) if (clean.includes(secret)) clean = clean.replaceAll(secret, REMOVED);
    return clean;
  }

  /** The text without secrets. */
  text(value: string): string {
    let clean = this.known(value);
    clean = clean.replace(PARAM, (whole, before: string, name: string) =>
      this.isSecretName(name) ? `${before}${name}=${REMOVED}` : whole,
    );
    clean = clean.replace(SECRET_FORMS, (found) => numbered(this.#hidden, found, (n) => `[removed-${n}]`));
    if (!this.#masksEmails) return clean;
    return clean.replace(EMAIL, (found) =>
      found.endsWith('@example.com') ? found : numbered(this.#emails, found, (n) => `user-${n}@example.com`),
    );
  }

  /** The JSON value without secrets; `isLogin` also hides what is a credential in a login only. */
  json(value: JsonValue, isLogin = false): JsonValue {
    if (typeof value === 'string') return this.text(value);
    if (Array.isArray(value)) return value.map((one: JsonValue) => this.json(one, isLogin));
    if (!isPlainObject(value)) return value;
    return Object.fromEntries(
      Object.entries(value).map(([name, inner]) => [
        name,
        inner === undefined ? inner : this.#field(name, inner, isLogin),
      ]),
    );
  }

  #field(name: string, value: JsonValue, isLogin: boolean): JsonValue {
    const isSecret = this.isSecretName(name) || (isLogin && SECRET_PARAMS.has(plainName(name)));
    const holdsText = typeof value === 'string' || typeof value === 'number' || typeof value === 'bigint';
    return isSecret && holdsText ? REMOVED : this.json(value, isLogin);
  }

  #learnHeader(name: string, value: string): void {
    const [scheme = '', ...rest] = value.split(' ');
    const token = rest.join(' ');
    if (/^basic$/i.test(scheme)) {
      const pair = Buffer.from(token, 'base64').toString();
      const colon = pair.indexOf(':');
      if (pair.length - colon > 4) this.learn(pair.slice(colon + 1));
    }
    if (name.toLowerCase() === 'cookie') {
      for (const part of value.split(';')) {
        const text = part.split('=').slice(1).join('=').trim();
        if (text.length >= 8) this.learn(text);
      }
      return;
    }
    const secret = token === '' ? value : token;
    if (secret.length >= 8) this.learn(secret);
  }
}

function plainName(name: string): string {
  return name.toLowerCase().replace(/[^a-z0-9]/g, '');
}

function numbered(known: Map<string, string>, found: string, name: (count: number) => string): string {
  const text = known.get(found) ?? name(known.size + 1);
  known.set(found, text);
  return text;
}

function isPlainObject(value: JsonValue): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value) && !(value instanceof ExactNumber);
}
