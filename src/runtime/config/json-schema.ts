import {besideDefinitionShape, BUNDLE_MARKS, bundleShape, pipelineFileShape} from './bundle-shapes.ts';
import type {JsonSchema} from './shape.ts';
import {ingestionDefinitionShape, pipelineSpecShape} from './spec-shapes.ts';

/**
 * The published JSON Schema of configuration files, from the same shapes that the loader reads by. It knows what a value
 * looks like; names that must exist, references and destinations that collide are the loader's to check.
 */
export function configurationSchema(): JsonSchema {
  const definitions = new Map<string, JsonSchema>();
  const bundle = bundleShape.describe(definitions);
  const pipelineFile = pipelineFileShape.describe(definitions);
  const beside = besideDefinitionShape.describe(definitions);
  for (const shape of [ingestionDefinitionShape, pipelineSpecShape]) shape.describe(definitions);
  const definitionFiles = ['ingestion_definition', 'pipeline_spec'].map((name) =>
    bareFile(definitions.get(name), beside),
  );
  return {
    $schema: 'https://json-schema.org/draft/2020-12/schema',
    title: 'Sluice configuration',
    description: 'A bundle (sluice.yml, databricks.yml), a file with one pipeline, or a definition alone.',
    anyOf: [{...bundle, anyOf: BUNDLE_MARKS.map((key) => ({required: [key]}))}, pipelineFile, ...definitionFiles],
    $defs: Object.fromEntries([...definitions].sort(([left], [right]) => (left < right ? -1 : 1))),
  };
}

/** A definition with the keys that may stand beside it in a file of its own. */
function bareFile(definition: JsonSchema | undefined, beside: JsonSchema): JsonSchema {
  return {...definition, properties: {...(definition?.['properties'] as object), ...(beside['properties'] as object)}};
}
