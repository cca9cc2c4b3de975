import {installFailpointOf} from '../runtime/config/environment.ts';
import {processIo} from './process-io.ts';
import {runCli} from './program.ts';

const io = processIo();
installFailpointOf(io.env);
process.exitCode = await runCli(process.argv.slice(2), io);
