/**
 * The environment of the processes that work for us: ours, with enough pool threads for the engine's queries and the file
 * system, and few malloc arenas (glibc), because many of them keep a tenth more memory than they use.
 */
export function updateEnvironment(): NodeJS.ProcessEnv {
  return {MALLOC_ARENA_MAX: '2', ...process.env, UV_THREADPOOL_SIZE: '16'};
}
