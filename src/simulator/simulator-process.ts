import {systemClock} from '../core/clock.ts';
import {messageOf} from '../core/errors.ts';
import type {ProcessAddress, ProcessAnswer, ProcessCommand, ProcessStatistics} from './in-process.ts';
import type {SimulatorSpec} from './simulator-spec.ts';
import {simulate, type Simulator} from './simulator.ts';

// The program of `simulateInProcess`: one simulator, told by messages what to do.

let running: {readonly simulator: Simulator; readonly module: Readonly<Record<string, unknown>>} | null = null;

process.on('message', ({id, command}: {readonly id: number; readonly command: ProcessCommand}) => {
  obey(command).then(
    (value) => answer({id, value}),
    (error: unknown) => answer({id, error: messageOf(error)}),
  );
});
// A parent that is gone asks nothing any more.
process.on('disconnect', () => process.exit(0));

function answer(message: ProcessAnswer): void {
  process.send?.(message);
}

async function obey(command: ProcessCommand): Promise<unknown> {
  if (command.kind === 'start') return start(command);
  if (running === null) throw new Error('There is no simulator.');
  const {simulator, module} = running;
  switch (command.kind) {
    case 'statistics':
      return statisticsOf(simulator);
    case 'advance':
      return simulator.clock.advance(command.ms);
    case 'run': {
      const run = module[command.functionName];
      if (typeof run !== 'function') throw new Error(`The module exports no function ${command.functionName}.`);
      return (await run(simulator, command.argument)) as unknown;
    }
  }
}

async function start(command: ProcessCommand & {readonly kind: 'start'}): Promise<ProcessAddress> {
  const module = (await import(command.moduleUrl)) as Readonly<Record<string, unknown>>;
  const exported = module[command.exportName];
  if (exported === undefined) throw new Error(`The module exports no ${command.exportName}.`);
  const made: unknown = typeof exported === 'function' ? await exported(command.argument) : exported;
  const {clock, ...options} = command.options;
  const simulator =
    simulatorIn(made) ??
    (await simulate(made as SimulatorSpec, clock === undefined ? options : {...options, clock: systemClock}));
  running = {simulator, module};
  return {url: simulator.url, caPem: simulator.caPem};
}

/** The running simulator of what a module gave; null when it gave a spec. */
function simulatorIn(made: unknown): Simulator | null {
  if (typeof made !== 'object' || made === null) throw new Error('The module gave no simulator.');
  if ('simulator' in made) return simulatorIn(made.simulator);
  return 'url' in made && 'requestCount' in made ? (made as Simulator) : null;
}

function statisticsOf(simulator: Simulator): ProcessStatistics {
  const {maxRSS, userCPUTime, systemCPUTime} = process.resourceUsage();
  return {
    requestCount: simulator.requestCount,
    violationCount: simulator.violations.length,
    peakMemoryBytes: maxRSS * 1024,
    cpuMs: (userCPUTime + systemCPUTime) / 1000,
  };
}
