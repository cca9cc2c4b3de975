import {basicSuite} from './basic-suite.ts';
import {columnsSuite} from './columns-suite.ts';
import {commitsSuite} from './commits-suite.ts';
import {layoutSuite} from './layout-suite.ts';
import {sparkTablesSuite} from './spark-tables-suite.ts';
import {streamingSuite} from './streaming-suite.ts';
import type {InteropSuite} from './suite.ts';

/** All suites, in the order in which they run. */
export const suites: readonly InteropSuite[] = [
  basicSuite,
  columnsSuite,
  commitsSuite,
  layoutSuite,
  sparkTablesSuite,
  streamingSuite,
];
