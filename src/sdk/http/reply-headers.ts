import type {HttpHeaders} from './http-client.ts';

/** Headers as the transport gives them: names in lower case. */
export type RawHeaders = Readonly<Record<string, string | readonly string[] | undefined>>;

/** Headers of an answer over what the transport gave; `over` overrides. */
export function replyHeaders(raw: RawHeaders, over?: RawHeaders): HttpHeaders {
  const all = over === undefined ? raw : {...raw, ...over};
  return {
    get: (name) => textOf(all[name.toLowerCase()]),
    entries: () =>
      Object.entries(all).flatMap(([name, value]): [string, string][] => {
        const text = textOf(value);
        return text === null ? [] : [[name, text]];
      }),
  };
}

/** How a body is compressed; null when it is not. */
export function encodingOf(headers: RawHeaders): string | null {
  return replyHeaders(headers).get('content-encoding');
}

function textOf(value: string | readonly string[] | undefined): string | null {
  if (value === undefined) return null;
  return typeof value === 'string' ? value : value.join(', ');
}
