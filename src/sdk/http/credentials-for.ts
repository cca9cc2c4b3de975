import {randomBytes} from 'node:crypto';

import type {AuthSpec} from './auth.ts';
import {type Credentials, type CredentialsContext, fixedCredentials, staticCredentials} from './credentials.ts';
import {oauth1Header} from './oauth1.ts';
import {oauth2Credentials} from './oauth2.ts';
import {customCredentials, sessionCredentials} from './token-credentials.ts';

/** The credentials of a declaration. */
export function credentialsFor(spec: AuthSpec, context: CredentialsContext): Credentials {
  switch (spec.kind) {
    case 'oauth2':
      return oauth2Credentials(spec, context);
    case 'oauth1':
      return fixedCredentials((request) => {
        const timestampSeconds = Math.floor(context.create.clock.nowMs() / 1000);
        const once = {nonce: randomBytes(16).toString('hex'), timestampSeconds};
        request.headers['authorization'] = oauth1Header(spec, request, once);
      });
    case 'session':
      return sessionCredentials(spec, context);
    case 'custom':
      return customCredentials(spec, context);
    default:
      return staticCredentials(spec);
  }
}
