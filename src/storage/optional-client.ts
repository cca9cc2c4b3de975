import {IngestError, messageOf} from '../core/errors.ts';

/**
 * Loads a vendor's client, which only those install who need it.
 * @throws UNSUPPORTED with the command that installs it.
 */
export async function loadClient<T>(load: () => Promise<T>, packageName: string, what: string): Promise<T> {
  try {
    return await load();
  } catch (error) {
    const isMissing = (error as NodeJS.ErrnoException).code === 'ERR_MODULE_NOT_FOUND';
    throw new IngestError(
      'UNSUPPORTED',
      isMissing
        ? `${what} needs the package ${packageName}, which is not installed.`
        : `${what} needs the package ${packageName}, which cannot be loaded: ${messageOf(error)}`,
      {fix: `Run: npm install ${packageName}`, cause: error, context: {package: packageName}},
    );
  }
}
