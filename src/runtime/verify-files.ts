import type {StructType} from '../core/types.ts';
import type {Engine} from '../engine/engine.ts';
import {fileSelect} from '../engine/file-relation.ts';
import {enginePoint} from '../pipeline/verify-engine-point.ts';
import type {FileRef, VerifyPoint, VerifyScope} from '../sdk/contract.ts';

/**
 * Rows of files as the engine reads them, summed up for verification. Compares what the files hold with what landed, by
 * the reader that loaded them.
 */
export async function openFilesByEngine(
  engine: Engine,
  files: readonly FileRef[],
  scope: VerifyScope,
): Promise<VerifyPoint> {
  const schema: StructType = {
    type: 'struct',
    fields: scope.columns.map(({name, type}) => ({name, type, nullable: true, metadata: {}})),
  };
  const inputs = files.map(({file, options}) => ({localPath: file.path, options}));
  const select = await fileSelect(engine, inputs, schema);
  return enginePoint(engine, scope, {
    token: `${files.length} files, read by the engine that loaded them`,
    select: select.select,
    close: async () => select[Symbol.asyncDispose](),
  });
}
