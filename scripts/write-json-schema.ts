// Writes schema/sluice.schema.json, which editors check configuration files by, from the shapes that the loader reads by.
import {mkdirSync, writeFileSync} from 'node:fs';

import {configurationSchema} from '../src/runtime/config/json-schema.ts';

mkdirSync('schema', {recursive: true});
writeFileSync('schema/sluice.schema.json', `${JSON.stringify(configurationSchema(), null, 2)}\n`);
