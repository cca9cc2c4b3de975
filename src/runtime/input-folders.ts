import type {PipelineSpec} from '../pipeline/spec.ts';

/** Folders that a pipeline declares as inputs: what the engine may read beside the lake. */
export function inputFolders(spec: PipelineSpec): readonly string[] {
  const {path} = spec.connection.options;
  return spec.connection.connector === 'files' && typeof path === 'string' ? [path] : [];
}
