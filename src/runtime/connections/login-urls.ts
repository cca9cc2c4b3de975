import {IngestError} from '../../core/errors.ts';
import type {ConnectionSpec} from '../../pipeline/spec.ts';

/**
 * An endpoint of a login with options of the connection in its braces. An option at the very start may be a whole address.
 * @throws INVALID_OPTION when an option is missing, or the address is neither https nor of this machine.
 */
export function filledUrl(template: string, connection: ConnectionSpec): string {
  const text = template.replace(/\{([A-Za-z_][A-Za-z0-9_]*)\}/g, (_braces, option: string, at: number) => {
    const value = connection.options[option];
    if (typeof value !== 'string' && typeof value !== 'number') throw missing(connection, option);
    return at === 0 ? String(value).replace(/\/+$/, '') : encodeURIComponent(value);
  });
  const url = URL.canParse(text) ? new URL(text) : null;
  const isHere = url !== null && url.protocol === 'http:' && /^(127\.0\.0\.1|localhost|\[::1\])$/.test(url.hostname);
  if (url !== null && (url.protocol === 'https:' || isHere)) return url.href;
  throw new IngestError('INVALID_OPTION', `connection "${connection.name}": ${template} leads to no https address.`, {
    fix: 'Correct the options in the braces.',
  });
}

function missing(connection: ConnectionSpec, option: string): IngestError {
  return new IngestError('INVALID_OPTION', `connection "${connection.name}": a login needs the option "${option}".`, {
    fix: `Set ${option}.`,
    context: {option},
  });
}
