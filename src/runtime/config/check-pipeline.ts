import {systemClock} from '../../core/clock.ts';
import {IngestError, isIngestError} from '../../core/errors.ts';
import {checkObject} from '../../pipeline/resolve-flow.ts';
import type {PipelineSpec} from '../../pipeline/spec.ts';
import {openConnector} from '../open-connector.ts';

/**
 * Checks what only the connector knows: that it exists, and the options of the connection and of every object. Asks no source.
 * @throws UNKNOWN_CONNECTOR, INVALID_OPTION, INVALID_PREDICATE with the pipeline's key in front
 */
export async function checkPipeline(spec: PipelineSpec): Promise<void> {
  try {
    await using open = await openConnector(spec.connection, {clock: systemClock});
    for (const object of spec.objects) checkObject(open.definition, object);
  } catch (error) {
    if (!isIngestError(error)) throw error;
    throw new IngestError(error.code, `pipeline "${spec.key}": ${error.message}`, {
      ...(error.fix === undefined ? {} : {fix: error.fix}),
      context: error.context,
      cause: error,
    });
  }
}
