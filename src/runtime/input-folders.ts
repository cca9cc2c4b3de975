import {isAbsolute} from 'node:path';

import type {ConnectionSpec, PipelineSpec} from '../pipeline/spec.ts';

/** Folders that a pipeline declares as inputs: what the engine may read beside the lake. */
export function inputFolders(spec: PipelineSpec): readonly string[] {
  return connectionFolders(spec.connection);
}

/** The same for a connection alone. */
export function connectionFolders({connector, place, options}: ConnectionSpec): readonly string[] {
  const {path} = options;
  if (typeof path !== 'string') return [];
  // A connector of somebody else declares a folder by the same name; what it reads is what its user wrote there.
  return connector === 'files' || (place !== undefined && isAbsolute(path)) ? [path] : [];
}
