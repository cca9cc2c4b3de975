import {basename, resolve} from 'node:path';

import type {ConnectorPlace} from '../../pipeline/spec.ts';

/** What `connector:` of a connection says: its name for messages and `connector_options`, and where it lies. */
export interface PlacedConnector {
  /** Lower case. */
  readonly connector: string;
  readonly place: ConnectorPlace;
}

/** Reads `connector:`. What has a slash or ends like a file is a path relative to `folder`; anything else was added by that name. */
export function connectorPlace(text: string, folder: string): PlacedConnector {
  if (!isPath(text)) return {connector: text.toLowerCase(), place: {kind: 'added', name: text, project: folder}};
  const path = resolve(folder, text);
  const name = basename(path).replace(/\.(ya?ml|m?[jt]s)$/i, '');
  return {connector: name.toLowerCase(), place: {kind: 'path', path}};
}

/** True for what names a place in the file system, not a connector. */
export function isPath(text: string): boolean {
  return /[/\\]|^\.|\.(ya?ml|m?[jt]s)$/i.test(text);
}
