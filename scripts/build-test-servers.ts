import {buildProgram, FAKE_GCS, MINIO} from '../test/go-program.ts';

for (const program of [MINIO, FAKE_GCS]) console.log(await buildProgram(program));
