/** What a secret is replaced with. */
export const MASK = '***';

const CREDENTIAL_NAME =
  /^(?:.*[-_.])?(?:authorization|cookie|password|passwd|secret|token|api[-_]?key|access[-_]?key|apikey|private[-_]?key|signature|assertion|credentials?|session[-_]?id|code[-_]?verifier)$|(?:token|secret|password|apikey|cookie)$/i;
// Such fields of a body may be anything; in an address they are credentials.
const SHORT_PARAMETER = /^(?:key|sig|pwd|jwt)$/i;
const TOKEN_COUNTS =
  /^(?:max|total|page|next|next[-_]?page|next[-_]?sync|continuation|sync|delta|cursor)[-_]?tokens?$/i;
const JSON_FIELD = /("(?:[^"\\]|\\.)*")(\s*:\s*)"((?:[^"\\]|\\.)*)"?/g;
const FORM_FIELD = /(^|[&?])([^=&?\s"]+)=([^&\s"#]*)/g;
// Shorter values would blank out half of every text; they are still masked where their name gives them away.
const SHORTEST = 4;

/** Removes the secrets of one connection from texts. Secrets may be added at any time. */
export interface Redactor {
  /** Remembers a value, with the spellings that it takes in URLs, forms, JSON and Basic credentials. */
  add(secret: string | undefined): void;
  /** The text without any secret value. */
  text(text: string): string;
  /** A URL without secret values and without the values of parameters that are named like credentials. */
  url(url: string): string;
  /** Headers without secret values; credentials by their name are masked whole. */
  headers(headers: readonly (readonly [string, string])[]): readonly (readonly [string, string])[];
  /** The start of a body, fields that are named like credentials masked. */
  body(body: string, maxChars: number): string;
}

/** True for the name of a header, parameter or field that holds a credential. */
export function isCredentialName(name: string): boolean {
  return CREDENTIAL_NAME.test(name) && !TOKEN_COUNTS.test(name);
}

/** Makes a redactor that knows the given secrets. */
export function createRedactor(secrets: readonly (string | undefined)[] = []): Redactor {
  const spellings = new Set<string>();
  let ordered: readonly string[] = [];
  const text = (given: string): string => {
    let clean = given;
    for (const spelling of ordered) if (clean.includes(spelling)) clean = clean.replaceAll(spelling, MASK);
    return clean;
  };
  const redactor: Redactor = {
    add(secret) {
      if (secret === undefined || secret.length < SHORTEST || spellings.has(secret)) return;
      for (const spelling of spellingsOf(secret)) spellings.add(spelling);
      ordered = [...spellings].toSorted((left, right) => right.length - left.length);
    },
    text,
    url: (url) => maskFields(text(url).replace(/\/\/[^/@\s]*@/, `//${MASK}@`)),
    headers: (headers) =>
      headers.map(([name, value]) => [name, isCredentialName(name) ? MASK : maskFields(text(value))]),
    body(body, maxChars) {
      // A secret that the end cuts in two is known by the part beyond the end.
      const clean = maskJson(maskFields(text(body.slice(0, maxChars + (ordered[0]?.length ?? 0)))));
      return clean.slice(0, maxChars);
    },
  };
  for (const secret of secrets) redactor.add(secret);
  return redactor;
}

function spellingsOf(secret: string): readonly string[] {
  const uri = encodeURIComponent(secret);
  return [secret, uri, uri.replaceAll('%20', '+'), JSON.stringify(secret).slice(1, -1)];
}

function maskFields(text: string): string {
  if (!text.includes('=')) return text;
  return text.replace(FORM_FIELD, (whole, before: string, name: string) =>
    isCredentialName(name) || SHORT_PARAMETER.test(name) ? `${before}${name}=${MASK}` : whole,
  );
}

function maskJson(text: string): string {
  if (!text.includes('":') && !text.includes('" :')) return text;
  return text.replace(JSON_FIELD, (whole, name: string, colon: string) =>
    isCredentialName(name.slice(1, -1)) ? `${name}${colon}"${MASK}"` : whole,
  );
}
