import {basicSuite} from './basic-suite.ts';
import type {InteropSuite} from './suite.ts';

/** All suites, in the order in which they run. */
export const suites: readonly InteropSuite[] = [basicSuite];
