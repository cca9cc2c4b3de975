/** The environment of an update's process: ours, with enough pool threads for the engine's queries and the file system. */
export function updateEnvironment(): NodeJS.ProcessEnv {
  return {...process.env, UV_THREADPOOL_SIZE: '16'};
}
